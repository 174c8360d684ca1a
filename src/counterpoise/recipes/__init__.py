"""The frozen parameters of a loss, its named constructors, its posterior."""

from counterpoise.recipes import sigmoid, softmax
from counterpoise.recipes.named import NamedLoss, Recipe, from_dict, named, recipe, recipe_table, recipes
from counterpoise.recipes.schedule import Schedule, deferred
from counterpoise.recipes.sigmoid_recipe import SigmoidRecipe
from counterpoise.recipes.softmax_recipe import SoftmaxRecipe

__all__ = [
    "NamedLoss",
    "Recipe",
    "Schedule",
    "SigmoidRecipe",
    "SoftmaxRecipe",
    "deferred",
    "from_dict",
    "named",
    "recipe",
    "recipe_table",
    "recipes",
    "sigmoid",
    "softmax",
]
