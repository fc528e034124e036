"""Threads that take turns: one goes on at a time, and chance says who, whenever one pauses.

So what may happen at the same time does, in an order that the same seed gives again.
"""

import random
from collections.abc import Callable, Sequence
from threading import Semaphore, Thread, current_thread

SLEEPY = 0.05
LONG = 1000
"""Turns that somebody may sleep for, in the middle of what they do."""


class Ended(BaseException):
    """The turns are over: whoever is in the middle of something never comes back."""


class Turns:
    """Lets actors go on in turn; `pause` is to be called at each of their steps."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._actors: dict[Thread, Semaphore] = {}
        self._back = Semaphore(0)
        self._over = False
        self._failure: BaseException | None = None

    def run(self, actors: Sequence[Callable[[], None]], turns: int) -> None:
        """Runs endless actors for some turns, and raises what one of them has raised."""
        for actor in actors:
            thread = Thread(target=self._run, args=[actor], daemon=True)
            self._actors[thread] = Semaphore(0)
            thread.start()
        wakes = dict.fromkeys(self._actors.values(), 0)
        turn = 0
        while turn < turns and self._failure is None:
            turn = max(turn, min(wakes.values()))
            one = self._chance.choice([each for each, at in wakes.items() if at <= turn])
            self._let(one)
            turn += 1
            if self._chance.random() < SLEEPY:
                wakes[one] = turn + self._chance.randint(1, LONG)
        self._over = True
        for thread, semaphore in self._actors.items():
            if thread.is_alive():
                self._let(semaphore)
            thread.join()
        self._actors = {}
        if self._failure is not None:
            raise self._failure

    def pause(self) -> None:
        """Lets others go on first, if chance will have it. Without effect outside of `run`."""
        mine = self._actors.get(current_thread())
        if mine is not None:
            self._back.release()
            self._wait(mine)

    def _let(self, semaphore: Semaphore) -> None:
        semaphore.release()
        self._back.acquire()

    def _wait(self, mine: Semaphore) -> None:
        mine.acquire()
        if self._over:
            raise Ended

    def _run(self, actor: Callable[[], None]) -> None:
        try:
            self._wait(self._actors[current_thread()])
            while True:
                actor()
                self.pause()
        except Ended:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again by who waits
            self._failure = error
        finally:
            self._back.release()
