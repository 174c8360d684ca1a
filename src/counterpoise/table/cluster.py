"""Work on the machines of a Ray cluster; Ray is an optional package."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Self

from counterpoise.errors import UserError, refuse_missing

LOCAL = "local"


def _ray() -> Any:
    import ray

    return ray


class Cluster:
    """A Ray cluster, as a context: this process connects to it, and leaves it at the end.

    Parameters
    ----------
    address
        Address of the cluster, such as "auto" or "ray://head:10001"; "local" starts one on this machine. A process that
        is connected already stays with its cluster.

    Raises
    ------
    UserError
        If Ray is not installed, or nothing answers at the address.
    """

    def __init__(self, address: str) -> None:
        refuse_missing(("ray",), "ray")
        self._address, self._connected = address, False

    def __enter__(self) -> Self:
        ray = _ray()
        if not ray.is_initialized():
            own = {"include_dashboard": False} if self._address == LOCAL else {}
            try:
                ray.init(address=self._address, log_to_driver=False, logging_level="ERROR", **own)
            except (ConnectionError, ValueError, RuntimeError, OSError) as error:
                said = f"no Ray cluster answers at {self._address!r} ({str(error).splitlines()[0]})"
                raise UserError(f"{said}; start one with 'ray start --head', or write --cluster alone") from None
            self._connected = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connected:
            _ray().shutdown()

    def share(self, value: Any) -> Any:
        """A value that all machines can read, such as a table: it is sent to each of them once."""
        return _ray().put(value)

    def start(self, function: Callable[..., Any], *given: Any) -> Any:
        """Begin a call on some machine; a call whose machine dies is done again."""
        return _ray().remote(max_retries=5)(function).remote(*given)

    def result(self, started: Any) -> Any:
        """What the call returned; its error is raised here."""
        ray = _ray()
        try:
            return ray.get(started)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None
        except ray.exceptions.RayError as error:
            said = f"the cluster lost a part of the work ({str(error).splitlines()[0]})"
            raise UserError(f"{said}; run the command again (train continues with --resume)") from None

    def forget(self, started: Any) -> None:
        """End a call whose result nobody needs."""
        _ray().cancel(started)

    def in_order(self, function: Callable[..., Any], shared: Any, items: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        """Each item with what `function(shared, item)` returned, in their order; few items are on their way at once."""
        most = 2 * max(1, int(_ray().cluster_resources().get("CPU", 1)))
        waiting: deque[tuple[Any, Any]] = deque()
        for item in items:
            waiting.append((item, self.start(function, shared, item)))
            if len(waiting) >= most:
                first, started = waiting.popleft()
                yield first, self.result(started)
        for first, started in waiting:
            yield first, self.result(started)
