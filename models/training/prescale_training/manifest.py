"""The manifest beside a model: what a reader checks before it trusts the file."""

import hashlib
import json
from pathlib import Path

from .contract import Contract
from .nodes import OPSET
from .recipe import Recipe
from .schema import GRID_STEP_S, HORIZONS_S, QUANTILE_LEVELS, feature_schema_hash


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, lower-case hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def manifest_text(recipe: Recipe, model: Path, contract: Contract, scores: dict[str, float]) -> str:
    """The TOML of a model's manifest. `scores` are figures of `evaluate`, by name."""
    lines = [
        _line("name", recipe.name),
        _line("version", recipe.version),
        _line("kind", contract.kind),
        _line("sha256", sha256_of(model)),
        _line("opset", OPSET),
        _line("feature_schema_hash", feature_schema_hash()),
        _line("grid_step_s", GRID_STEP_S),
        _line("horizons_s", list(HORIZONS_S)),
        _line("quantile_levels", list(QUANTILE_LEVELS)),
        *(_line(name, number) for name, number in contract.numbers.items()),
        *(line for tensor in contract.inputs for line in _tensor("inputs", *tensor)),
        *(line for tensor in contract.outputs for line in _tensor("outputs", *tensor)),
        "",
        "[training]",
        _line("data", [s.reader or Path(s.path).name for s in recipe.sources] + ["generated"] * bool(recipe.generated.count)),
        _line("licence", sorted({s.licence for s in recipe.sources if s.licence})),
        _line("attribution", [s.attribution for s in recipe.sources if s.attribution]),
    ]
    if scores:
        lines += ["", "[training.scores]", *(_line(name, value) for name, value in scores.items())]
    return "\n".join(lines) + "\n"


def _line(key: str, value) -> str:
    return f"{key} = {json.dumps(value, ensure_ascii=False)}"


def _tensor(table: str, name: str, shape: list, unit: str) -> list[str]:
    return ["", f"[[{table}]]", _line("name", name), _line("shape", shape), _line("unit", unit)]
