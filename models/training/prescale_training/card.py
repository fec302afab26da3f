"""The model card beside a model: what it is, what it was trained on, how well it did (Mitchell et al. 2019).

What people write into a card stays: in one that is there already only the part between the marks is renewed.
"""

from pathlib import Path

from .contract import Contract
from .recipe import Recipe
from .schema import HORIZONS_S, KINDS

BEGIN, END = "<!-- written by export: begin -->", "<!-- written by export: end -->"
_AGAINST = {
    "seasonal_naive": "seasonal naive",
    "seasonal_naive_point": "as a point",
    "last_value": "last value",
    "last_value_point": "as a point",
}
_SCORING = """CRPS, approximated by twice the mean pinball loss over the eight levels, over the three horizons and both
kinds; each series in units of its mean demand; every forecaster on the same bins and clamped at 0. Relative to a
baseline: below 1 is better. Baselines: the value a day ago (seasonal naive) and the last value, each with
quantiles of its own last week's errors, and as bare points."""


def write_card(folder: Path, recipe: Recipe, contract: Contract, facts: list[str], used: dict[str, int], scores: list[dict]) -> None:
    """Writes or renews `folder`/MODEL_CARD.md.

    `facts` are lines about the model itself, `used` says how many series of each source were trained on,
    `scores` are figures of `evaluate`.
    """
    path = folder / "MODEL_CARD.md"
    ours = "\n".join([BEGIN, *_written(recipe, contract, facts, used, scores), END])
    if path.is_file():
        text = path.read_text()
        if BEGIN in text and END in text:
            path.write_text(text[: text.index(BEGIN)] + ours + text[text.index(END) + len(END) :])
        return
    path.write_text(f"# {recipe.name} {recipe.version}\n\n{ours}\n")


def _written(recipe: Recipe, contract: Contract, facts: list[str], used: dict[str, int], scores: list[dict]) -> list[str]:
    numbers = ", ".join(f"{name} {number}" for name, number in contract.numbers.items())
    lines = [
        "",
        recipe.description or "A demand model.",
        "",
        f"- Kind: {contract.kind} ({numbers}). Inputs, outputs, units: [FEATURES.md](../training/FEATURES.md).",
        *(f"- {fact}" for fact in facts),
        "",
        "## Data",
        "",
        "| set | series used | licence | attribution |",
        "| --- | --- | --- | --- |",
    ]
    for source in recipe.sources:
        name = source.reader or Path(source.path).name
        count = used.get(source.reader or "history", "")
        lines.append(f"| {name} | {count} | {source.licence or 'not said'} | {source.attribution} |")
    if recipe.generated.count:
        lines.append(f"| generated fleets | {recipe.generated.count} | own | `prescale_training/generated.py` |")
    if scores:
        lines += ["", "## Scores", "", _SCORING, "", *_table(scores), "", "By horizon (value / maximum):", "", *_by_horizon(scores)]
        lines += ["", *(_coverage(one) for one in scores)]
    return [*lines, ""]


def _each(scores: list[dict]):
    """(name of the set, its figures) of each resource."""
    for one in scores:
        for resource, figures in one["resources"].items():
            if resource == "all" and len(one["resources"]) > 1:
                resource = "all together"
            yield f"{one['on']}, {resource}", figures


def _table(scores: list[dict]) -> list[str]:
    lines = ["| set | series | " + " | ".join(_AGAINST.values()) + " |", "| --- | --- |" + " --- |" * len(_AGAINST)]
    for name, figures in _each(scores):
        ratios = " | ".join(f"{figures['vs'][a]['scaled']['all']:.3f}" for a in _AGAINST)
        lines.append(f"| {name} | {figures['series']} | {ratios} |")
    return lines


def _by_horizon(scores: list[dict]) -> list[str]:
    lines = ["| set and baseline | " + " | ".join(f"{h} s" for h in HORIZONS_S) + " |", "| --- |" + " --- |" * len(HORIZONS_S)]
    for name, figures in _each(scores):
        for against in ("seasonal_naive", "last_value"):
            scaled = figures["vs"][against]["scaled"]
            cells = " | ".join(" / ".join(f"{scaled[f'{kind}_{h}s']:.3f}" for kind in KINDS) for h in HORIZONS_S)
            lines.append(f"| {name}, {_AGAINST[against]} | {cells} |")
    return lines


def _coverage(one: dict) -> str:
    told = []
    for resource, figures in one["resources"].items():
        if resource != "all" or len(one["resources"]) == 1:
            below = figures["coverage"]["value_900s"]
            told.append(f"{100 * (below[6] - below[0]):.0f} % ({resource})")
    return f"Uncalibrated, the central 90 % of the value at 900 s hold on {one['on']} {', '.join(told)} of the truths."
