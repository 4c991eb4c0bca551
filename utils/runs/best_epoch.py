"""The best epoch of a run, by which its checkpoint is chosen."""

from dataclasses import dataclass, field


@dataclass
class BestEpoch:
    """The best epoch so far by COCO's main number: its record, and which of its weights that is for.

    record: `val/...` as measured on those weights; empty before the first epoch. weights: "raw", or "ema", the average.
    """

    record: dict[str, float] = field(default_factory=dict)
    weights: str = "raw"

    def update(self, record: dict[str, float]) -> bool:
        """Take in an epoch's record, `val/...` and with averaged weights `ema/...`; True where it is the new best.

        Without any object in the validation split AP is -1 in every epoch; then the latest counts as the best.
        """
        raw, averaged = record["val/map_50_95"], record.get("ema/map_50_95", -2.0)
        score, best = max(raw, averaged), self.record.get("val/map_50_95", -1.0)
        if score > best or score == best == -1.0 or not self.record:
            self.weights = "ema" if averaged > raw else "raw"
            own = {f"val/{k.removeprefix('ema/')}": v for k, v in record.items() if k.startswith("ema/")}
            plain = {k: v for k, v in record.items() if not k.startswith("ema/")}
            self.record = plain | own if self.weights == "ema" else plain
            return True
        return False
