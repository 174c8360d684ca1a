"""Arrays in safetensors, the format that holds nothing but arrays."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpoise.errors import UserError


def bytes_of(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """A file of these arrays.

    Examples
    --------
    >>> arrays_of(bytes_of({"a": np.eye(2)[:, ::-1]}), "a.safetensors")["a"]
    array([[0., 1.],
           [1., 0.]])
    """
    from safetensors.numpy import save

    # it writes the memory of an array as it lies there
    return bytes(save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))


def arrays_of(data: bytes, where: str) -> dict[str, NDArray[Any]]:
    """The arrays of a file; `where` names it.

    Raises
    ------
    UserError
        If it is none.
    """
    from safetensors.numpy import load

    try:
        return dict(load(data))
    except Exception as error:  # SafetensorError, and KeyError for a type that NumPy does not have
        raise UserError(f"{where} is damaged ({type(error).__name__}: {error})") from None


Arrays = Mapping[str, NDArray[Any]]


def check_array(arrays: Arrays, name: str, dtype: Any, shape: tuple[int, ...], where: str) -> None:
    """Raise `UserError` unless an array has this type and shape and no number that is not finite."""
    found = arrays[name]
    if found.dtype != dtype or found.shape != shape:
        raise UserError(
            f"{where}: {name} is {found.dtype} of shape {found.shape}; it must be {np.dtype(dtype)} of {shape}"
        )
    if found.dtype.kind == "f" and not np.isfinite(found).all():
        raise UserError(f"{where}: {name} holds a number that is not finite")
