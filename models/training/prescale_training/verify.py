"""Checks a model folder as a reader would: hash, shapes, golden vectors, finite and ordered outputs."""

import json
import tomllib
from pathlib import Path

import numpy as np
import onnx

from .contract import FREE_AXIS
from .goldens import FEATURES_GOLDEN, session_of
from .manifest import sha256_of
from .reference import reference_features
from .schema import HORIZONS_S, QUANTILE_LEVELS, feature_schema_hash

_SIZE_LIMIT_BYTES = 16 << 20


def problems_of(folder: Path) -> list[str]:
    """What is wrong with the model in `folder`; empty when nothing is."""
    missing = [n for n in ("model.onnx", "manifest.toml", "golden.json") if not (folder / n).is_file()]
    if missing:
        return [f"{folder} lacks {', '.join(missing)}: run export"]
    try:
        manifest = tomllib.loads((folder / "manifest.toml").read_text())
        found = _identity(folder, manifest)
        if found:
            return found
        session = session_of(folder / "model.onnx")
        return _shapes(session, manifest) + _golden(session, folder) + _features()
    except tomllib.TOMLDecodeError as error:
        return [f"{folder}/manifest.toml: {error}"]
    except json.JSONDecodeError as error:
        return [f"{folder}: golden vectors are no JSON: {error}"]
    except KeyError as error:
        return [f"{folder}: manifest or golden vectors lack {error}"]


def _identity(folder: Path, manifest: dict) -> list[str]:
    found = []
    path = folder / "model.onnx"
    if path.stat().st_size > _SIZE_LIMIT_BYTES:
        found.append(f"{path} is over {_SIZE_LIMIT_BYTES} bytes")
    if sha256_of(path) != manifest["sha256"]:
        return [*found, f"{path} is not the file that the manifest names (sha256): export again"]
    if manifest["feature_schema_hash"] != feature_schema_hash():
        found.append(f"{folder} was made for other features than this kit's")
    if tuple(manifest["horizons_s"]) != HORIZONS_S or tuple(manifest["quantile_levels"]) != QUANTILE_LEVELS:
        found.append(f"{folder} has other horizons or quantile levels than this kit's")
    model = onnx.load(str(path), load_external_data=False)
    opset = model.opset_import[0].version
    if opset != manifest["opset"]:
        found.append(f"{path} has opset {opset}, the manifest says {manifest['opset']}")
    if any(t.data_location == onnx.TensorProto.EXTERNAL for t in model.graph.initializer):
        found.append(f"{path} keeps data in other files, which is refused")
    return found


def _shapes(session, manifest: dict) -> list[str]:
    found = []
    for table, given in (("inputs", session.get_inputs()), ("outputs", session.get_outputs())):
        said = [(t["name"], t["shape"]) for t in manifest[table]]
        real = [(t.name, [n if isinstance(n, int) else FREE_AXIS for n in t.shape]) for t in given]
        if said != real:
            found.append(f"{table} are {real}, the manifest says {said}")
    return found


def _golden(session, folder: Path) -> list[str]:
    golden = json.loads((folder / "golden.json").read_text())
    outputs = [t.name for t in session.get_outputs()]
    carried = {"h": np.zeros((golden["rows"], golden["state_size"]), dtype=np.float32)} if "state_size" in golden else {}
    for i, step in enumerate(golden["steps"]):
        given = {name: np.array(step[name], dtype=np.float32) for name in ("w", "x") if name in step}
        got = dict(zip(outputs, session.run(outputs, {**given, **carried})))
        if not all(np.isfinite(array).all() for array in got.values()):
            return [f"golden step {i}: an output is not finite"]
        q = got["q"]
        if (np.diff(q, axis=-1) < -1e-5 * (1 + np.abs(q[..., 1:]))).any():
            return [f"golden step {i}: quantiles cross"]
        for name, array in got.items():
            apart = np.abs(array - np.array(step[name])).max()
            if apart > golden["tolerance"]:
                return [f"golden step {i}: {name} is {apart:.2e} away from what it was at export"]
        carried = {"h": got["h_out"]} if carried else {}
    return []


def _features() -> list[str]:
    golden = json.loads(FEATURES_GOLDEN.read_text())
    for case in golden["cases"]:
        values = np.array([np.nan if v is None else v for v in case["values"]])
        rows, scale = reference_features(values, case["start_s"], case["capacity"])
        apart = max(np.abs(rows - case["features"]).max(), np.abs(scale / case["scale"] - 1).max())
        if apart > golden["tolerance"]:
            return [f"features of {case['about']!r} are {apart:.2e} away from the golden ones"]
    return []
