"""A check of a week of live traffic: against the training texts of the champion, and against the week before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from multiner.pipeline.drift.comparison import TRAINING, WEEK_BEFORE, Shift, Thresholds, compare, judged
from multiner.pipeline.drift.sketch import Sketch, merged

DAYS = 7
Traffic = Mapping[tuple[str, str, str], Sketch]  # by language, version and day


@dataclass(frozen=True)
class DriftCheck:
    """The outcome of a check.

    Attributes:
        language: the language.
        version: the champion's version; what depends on the version is of its answers alone.
        at: when it was checked, UTC.
        since: the first day of the week.
        texts: texts of the week.
        shifts: what was compared, the largest shift first.
        notes: why something was not compared.
        retrain: whether retraining is asked for.
        sketches: what was compared, by name; the plots show it.
    """

    language: str
    version: str
    at: datetime
    since: date
    texts: int
    shifts: list[Shift]
    notes: list[str]
    retrain: bool
    sketches: Mapping[str, Sketch] = field(repr=False)

    @property
    def drifted(self) -> list[Shift]:
        """The shifts beyond both thresholds."""
        return [shift for shift in self.shifts if shift.drifted]

    @property
    def summary(self) -> str:
        """The outcome in a line."""
        if self.drifted:
            names = dict.fromkeys(f"{shift.measure} ({shift.against})" for shift in self.drifted)
            asks = "; it calls for retraining" if self.retrain else ""
            return f"drift in {', '.join(names)}{asks}"
        return f"no drift in {self.texts:,} texts" if self.shifts else self.notes[0]

    def to_json(self) -> dict[str, Any]:
        """The outcome for JSON, without the sketches."""
        return {
            "language": self.language,
            "version": self.version,
            "at": self.at.isoformat(timespec="seconds"),
            "since": self.since.isoformat(),
            "texts": self.texts,
            "drift": bool(self.drifted),
            "retrain": self.retrain,
            "summary": self.summary,
            "notes": self.notes,
            "shifts": [asdict(shift) | {"title": shift.title} for shift in self.shifts],
        }


def check(
    language: str, version: str, traffic: Traffic, reference: Sketch | None, thresholds: Thresholds, *, retrain: bool
) -> DriftCheck:
    """Compare the last seven days, today included, with the training and with the seven days before.

    Args:
        language: the language.
        version: the champion's version.
        traffic: of all languages.
        reference: the sketch of the version's training; None: it has none.
        thresholds: from when on there is a drift.
        retrain: whether a drift asks for retraining.
    """
    now = datetime.now(UTC)
    since = now.date() - timedelta(days=DAYS - 1)
    live = week(traffic, language, version, since)
    before = week(traffic, language, version, since - timedelta(days=DAYS))
    sides = {TRAINING: reference or Sketch(), WEEK_BEFORE: before}
    notes = [] if reference else [f"version {version} has no reference of its training texts"]
    if live.texts_counted < thresholds.texts:
        notes.insert(0, f"too few texts to tell: {_counted(live)} of {thresholds.texts:,}")
    elif before.texts_counted < thresholds.texts:
        notes.append(f"too few texts in the week before: {_counted(before)} of {thresholds.texts:,}")
    shifts = [shift for name, side in sides.items() for shift in compare(live, side, name, thresholds.texts)]
    shifts = sorted(judged(shifts, thresholds), key=lambda shift: (not shift.drifted, -shift.psi))
    retrain = retrain and any(shift.drifted for shift in shifts)
    return DriftCheck(language, version, now, since, live.texts, shifts, notes, retrain, {"this week": live, **sides})


def _counted(sketch: Sketch) -> str:
    """The number of texts that were looked at and, if they were more, of all that came."""
    came = f" (of {sketch.texts:,} that came)" if sketch.texts > sketch.texts_counted else ""
    return f"{sketch.texts_counted:,}{came}"


def week(traffic: Traffic, language: str, version: str, since: date) -> Sketch:
    """The sketch of the seven days from ``since`` on.

    What depends on the version is of this version's answers. ``language`` counts the texts of this language and of all
    others, where there are others.
    """
    days = {(since + timedelta(days=number)).isoformat() for number in range(DAYS)}
    own = [(of, sketch) for (code, of, day), sketch in traffic.items() if code == language and day in days]
    others = sum(sketch.texts for (code, _, day), sketch in traffic.items() if code != language and day in days)
    total = merged(sketch if of == version else sketch.without_version() for of, sketch in own)
    if len({code for code, _, _ in traffic}) > 1:
        total.counts["language", 0], total.counts["language", 1] = float(total.texts), float(others)
    return total
