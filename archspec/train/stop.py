"""Ctrl-C and SIGTERM: the first ends the training after the step in hand, the second at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Notes the wish to stop while the training runs its steps; at other times it raises KeyboardInterrupt at once.

    Outside the main thread Python takes no signals, and nothing is noted.
    """

    def __init__(self, said: Callable[[], None]) -> None:
        self.said = said
        self.asked: signal.Signals | None = None
        self.gentle = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._ask) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        self._give_back()

    def _give_back(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = signal.Signals(number)
        self._give_back()
        if not self.gentle:
            raise KeyboardInterrupt
        self.said()
