"""The abstract device: a pipe of bytes to something that holds a linked core."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from qsnn_compile.system.errors import QsnnError


class DeviceError(QsnnError):
    """The device can't be opened, or it does not answer."""


class Device(ABC):
    """A board, or what stands for one. The host API and its tests don't know which."""

    @abstractmethod
    def reset(self) -> None:
        """Put link and core in their first state, whatever was sent before; drop what came."""

    @abstractmethod
    def send(self, data: bytes) -> None:
        """Send all of *data*. Raises `DeviceError` if the device takes too long."""

    @abstractmethod
    def receive(self, count: int) -> bytes:
        """The next *count* bytes. Raises `DeviceError` if they don't come in time."""

    @abstractmethod
    def pending(self) -> int:
        """How many bytes came and were not received. Raises `DeviceError` if it is gone."""

    @abstractmethod
    def close(self) -> None:
        """Give the device back."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()
