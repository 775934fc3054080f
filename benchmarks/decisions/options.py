"""How much is done in one run of the benchmark."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

Amount = TypeVar("Amount", int, float)


@dataclass(frozen=True, slots=True)
class Options:
    """What every figure is told: a smoke run or the whole, and where peers are installed."""

    is_quick: bool = False
    environments: Path = Path("build/bench")

    def amount(self, whole: Amount, quick: Amount) -> Amount:
        """Choose between the number of a whole run and that of a smoke run."""
        return quick if self.is_quick else whole
