"""PyTorch: the loss line is the only one that changes."""

import torch

import counterpoise as cp
from counterpoise.torch import Loss

torch.manual_seed(0)
x = torch.randn(6000, 4)
y = (x[:, 0] + torch.randn(6000) > 3.0).long()

counts = cp.count(y[:4000])
recipe = cp.softmax.focal(counts, gamma=1.0, weight="inverse_sqrt")

model = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))
criterion = Loss(recipe)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for _ in range(150):
    optimizer.zero_grad()
    criterion(model(x[:4000]), y[:4000]).backward()
    optimizer.step()

with torch.no_grad():
    logits = model(x[4000:])
probability = recipe.posterior(logits)[:, 1]
said = torch.softmax(logits, 1)[:, 1]
positives = y[4000:].float().mean()
print(f"positives {positives:.3f}, posterior says {probability.mean():.3f}, softmax said {said.mean():.3f}")
assert abs(probability.mean() - positives) < 0.01
