"""One table of frameworks: how each is asked for a loss and its gradient; one is imported when it is first asked."""

import os
from functools import cached_property

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import numpy as np

import counterpoise as cp


class Framework:
    """A framework as NumPy in, NumPy out."""

    name = "numpy"
    compiles = False

    def __str__(self):
        return self.name

    def array(self, values):
        """An array of this framework."""
        return np.asarray(values)

    def numpy(self, array):
        """The values as NumPy."""
        return np.asarray(array)

    def cast(self, array, dtype):
        """In a dtype given by its name, also "bfloat16"."""
        return array.astype(dtype)

    def loss(self, recipe, logits, target, **options):
        """cp.loss on this framework's arrays."""
        logits, target = self.array(logits), self.array(target)
        options = {k: self.array(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
        return self.numpy(cp.loss(logits, target, recipe, **options))

    def loss_and_gradient(self, recipe, logits, target, **options):
        """The summed loss's value and gradient by the logits."""
        value, gradient = cp.loss_and_gradient(logits, target, recipe, **{"reduction": "sum", **options})
        return value, gradient

    def value_and_gradient(self, function, logits):
        """The value and the gradient of a function of logits, which in NumPy has none."""
        return self.numpy(function(self.array(logits))), None


class Torch(Framework):
    name = "torch"

    @cached_property
    def torch(self):
        import torch

        torch.set_num_threads(2)
        return torch

    def array(self, values):
        return self.torch.as_tensor(np.array(values))

    def numpy(self, array):
        return (
            array.detach().to(self.torch.float64 if array.dtype == self.torch.float64 else self.torch.float32).numpy()
        )

    def cast(self, array, dtype):
        return array.to(getattr(self.torch, dtype))

    def loss_and_gradient(self, recipe, logits, target, **options):
        z = self.array(logits).requires_grad_()
        options = {k: self.array(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
        value = cp.loss(z, self.array(target), recipe, **{"reduction": "sum", **options})
        value.backward()
        return self.numpy(value), self.numpy(z.grad)

    def value_and_gradient(self, function, logits):
        z = self.array(logits).requires_grad_()
        value = function(z)
        value.backward()
        return self.numpy(value), self.numpy(z.grad)


class TensorFlow(Framework):
    name = "tensorflow"
    jit = None

    @cached_property
    def tf(self):
        import tensorflow as tf

        return tf

    def array(self, values):
        return self.tf.constant(values)

    def cast(self, array, dtype):
        return self.tf.cast(array, dtype)

    def loss_and_gradient(self, recipe, logits, target, **options):
        options = {k: self.array(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}

        def both(z, y):
            with self.tf.GradientTape() as tape:
                tape.watch(z)
                value = cp.loss(z, y, recipe, **{"reduction": "sum", **options})
            return value, tape.gradient(value, z)

        run = both if self.jit is None else self.tf.function(both, jit_compile=self.jit)
        value, gradient = run(self.array(logits), self.array(target))
        return value.numpy(), gradient.numpy()

    def value_and_gradient(self, function, logits):
        def both(z):
            with self.tf.GradientTape() as tape:
                tape.watch(z)
                value = function(z)
            return value, tape.gradient(value, z)

        run = both if self.jit is None else self.tf.function(both, jit_compile=self.jit)
        value, gradient = run(self.array(logits))
        return value.numpy(), gradient.numpy()


class TensorFlowXla(TensorFlow):
    name = "tensorflow-xla"
    compiles = True
    jit = True


class Jax(Framework):
    name = "jax"
    compiles = True

    @cached_property
    def jax(self):
        import jax

        jax.config.update("jax_platforms", "cpu")
        return jax

    def array(self, values):
        values = np.asarray(values)
        with self.jax.enable_x64(values.dtype == np.float64):
            return self.jax.numpy.asarray(values)

    def loss(self, recipe, logits, target, **options):
        with self.jax.enable_x64(np.asarray(logits).dtype == np.float64):
            return super().loss(recipe, logits, target, **options)

    def loss_and_gradient(self, recipe, logits, target, **options):
        with self.jax.enable_x64(np.asarray(logits).dtype == np.float64):
            options = {k: self.array(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}

            @self.jax.jit
            def both(z, y):
                return self.jax.value_and_grad(lambda x: cp.loss(x, y, recipe, **{"reduction": "sum", **options}))(z)

            value, gradient = both(self.array(logits), self.array(target))
            return np.asarray(value), np.asarray(gradient)

    def value_and_gradient(self, function, logits):
        with self.jax.enable_x64(np.asarray(logits).dtype == np.float64):
            value, gradient = self.jax.jit(self.jax.value_and_grad(function))(self.array(logits))
            return np.asarray(value), np.asarray(gradient)


FRAMEWORKS = [Framework(), Torch(), TensorFlow(), TensorFlowXla(), Jax()]
