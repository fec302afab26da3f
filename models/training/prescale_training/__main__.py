"""`python -m prescale_training train|cross-validate|export|verify|evaluate|compare|watch|anomalies`"""

import argparse
import sys
from pathlib import Path

EXAMPLES = """examples:
  python -m prescale_training train recipes/gru-shipped.toml --data ../../../shared/data --out runs/gru
  python -m prescale_training cross-validate recipes/gru-shipped.toml --by time --folds 3
  python -m prescale_training export recipes/gru-shipped.toml --run runs/gru --out ../gru
  python -m prescale_training verify ../gru
  python -m prescale_training evaluate ../gru --on held-out --data ../../../shared/data
  python -m prescale_training compare ../gru --on bitbrains --statsforecast autoets autoarima
"""

EVALUATE_EXAMPLES = """examples:
  evaluate ../gru --on held-out --recipe recipes/gru-shipped.toml
  evaluate ../gru --on bitbrains --json scores.json
  evaluate ../gru --on generated --series-max 40
"""


VALIDATE_EXAMPLES = """examples:
  cross-validate recipes/gru-shipped.toml --by time --folds 3
  cross-validate recipes/svr-shipped.toml --by workload --folds 5 --json folds.json
  cross-validate recipes/gru-shipped.toml --by time --sliding-days 14 --steps 1000
"""


COMPARE_EXAMPLES = """examples:
  compare ../gru ../lstm --on bitbrains --workloads 50 --points 4 --statsforecast autoets autoarima
  compare ../gru --trace mine.csv --map entity=vm,time=ts,cpu=usage,cpu_capacity=cores
"""


ANOMALIES_EXAMPLES = """examples:
  anomalies --prescale ../../target/release/prescale
  anomalies --on asd smd --json scores.json
"""


WATCH_EXAMPLES = """examples:
  watch recipes/own.toml --store /var/lib/prescale/models
  watch recipes/own.toml --store /var/lib/prescale/models --once --prescale "prescale --config prescale.toml"
"""


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="prescale_training", description=__doc__, epilog=EXAMPLES, formatter_class=raw)
    commands = parser.add_subparsers(dest="command", required=True)

    traces, trains, scores, sets = (argparse.ArgumentParser(add_help=False) for _ in range(4))
    traces.add_argument("--data", type=Path, default=Path("../../../shared/data"), help="folder of the traces")
    trains.add_argument("recipe", type=Path)
    trains.add_argument("--steps", type=int, help="in place of the recipe's number of steps")
    trains.add_argument("--rows", type=int, help="in place of a windowed recipe's number of bins")
    scores.add_argument("--json", type=Path, help="write the figures here as well")
    sets.add_argument("--recipe", type=Path, default=Path("recipes/gru-shipped.toml"), help="for held-out: says who was held out")

    def command(name, about, *shared, epilog=EXAMPLES):
        return commands.add_parser(
            name, parents=shared, help=about, description=about, epilog=epilog, formatter_class=raw
        )

    train = command("train", "train a model as a recipe says; writes weights.pt", traces, trains)
    train.add_argument("--out", type=Path, required=True, help="folder for the weights")

    about = "train and score a recipe fold by fold, by rolling origin or held-out workloads"
    validate = command("cross-validate", about, traces, trains, scores, epilog=VALIDATE_EXAMPLES)
    validate.add_argument("--by", choices=("time", "workload", "time-and-workload"), default="time", help="time: rolling origin; workload: held-out workloads; or both at once")
    validate.add_argument("--folds", type=int, default=3)
    validate.add_argument("--first-share", type=float, default=0.5, help="share of each source's time before the first origin")
    validate.add_argument("--sliding-days", type=float, help="train on so many days before an origin, not on all")
    validate.add_argument("--series-max", type=int, help="score only this many series a fold, evenly picked")
    validate.add_argument("--processes", type=int, default=2)

    export = command("export", "write a trained model as a model folder (ONNX, manifest, golden vectors, card)")
    export.add_argument("recipe", type=Path)
    export.add_argument("--run", type=Path, required=True, help="folder that train wrote")
    export.add_argument("--out", type=Path, required=True, help="model folder to write")
    export.add_argument("--scores", type=Path, nargs="*", default=[], help="files of evaluate --json, for manifest and card")

    verify = command("verify", "check a model folder: hash, shapes, golden vectors")
    verify.add_argument("model", type=Path, nargs="+")

    about = "score a model folder against seasonal naive and last value"
    evaluate = command("evaluate", about, traces, sets, scores, epilog=EVALUATE_EXAMPLES)
    evaluate.add_argument("model", type=Path)
    evaluate.add_argument("--on", choices=("held-out", "bitbrains", "generated"), required=True)
    evaluate.add_argument("--from-day", type=float, default=2.0, help="score from this day of a series on")
    evaluate.add_argument("--to-day", type=float, default=1e6, help="score to this day of a series")
    evaluate.add_argument("--series-max", type=int, help="only this many series, evenly picked; the set is then called so, as bitbrains-200")
    evaluate.add_argument("--processes", type=int, default=2)

    about = "train a candidate version for each request of `prescale retraining`, into the models folder"
    watch = command("watch", about, traces, epilog=WATCH_EXAMPLES)
    watch.add_argument("recipe", type=Path, nargs="+", help="one a family, each with a source of the archive")
    watch.add_argument("--store", type=Path, required=True, help="[predictor] models_dir")
    watch.add_argument("--prescale", default="prescale", help="how the command line is called")
    watch.add_argument("--workloads-min", type=int, default=3, help="so many workloads have to ask")
    watch.add_argument("--before-days", type=float, default=14.0, help="train on so many days before the range as well")
    watch.add_argument("--weight", type=float, default=3.0, help="of what was asked for, beside the recipe's own sources")
    watch.add_argument("--every", type=float, default=600.0, help="look so often, in seconds")
    watch.add_argument("--once", action="store_true", help="look once and end")

    about = "compare models with statsforecast's and the textbook's, on the same points"
    against = command("compare", about, traces, sets, scores, epilog=COMPARE_EXAMPLES)
    against.add_argument("model", type=Path, nargs="+")
    against.add_argument("--on", choices=("held-out", "bitbrains", "generated"), default="bitbrains")
    against.add_argument("--trace", type=Path, help="in place of --on: a trace of one's own, read by --map")
    against.add_argument("--map", help="its columns, as entity=vm,time=ts,cpu=usage")
    against.add_argument("--time-unit", default="s", help="of a column of numbers: s, ms, us or ns")
    against.add_argument("--workloads", type=int, default=50, help="how many, drawn by the seed")
    against.add_argument("--points", type=int, default=4, help="how many of each series, drawn by the seed")
    against.add_argument("--seed", type=int, default=1)
    against.add_argument("--history-bins", type=int, default=2016, help="what statsforecast's models are fitted on")
    against.add_argument("--statsforecast", nargs="*", default=[], metavar="NAME", help="autoets, autoarima, mstl_autoets, mstl_autoarima")

    about = "compare the scores of `prescale anomalies` with other detectors', by VUS-PR on labelled traces"
    anomalies = command("anomalies", about, traces, scores, epilog=ANOMALIES_EXAMPLES)
    anomalies.add_argument("--on", nargs="+", choices=("asd", "jumpstarter", "smd", "ms_cloud"), default=["asd", "jumpstarter", "smd", "ms_cloud"])
    anomalies.add_argument("--prescale", default="prescale", help="how the command line is called")
    return parser


def _recipe(arguments):
    """The recipe, with what the command line says in its place."""
    import dataclasses

    from .recipe import load_recipe

    recipe = load_recipe(arguments.recipe)
    if arguments.steps:
        recipe = dataclasses.replace(recipe, training=dataclasses.replace(recipe.training, steps=arguments.steps))
    if arguments.rows:
        recipe = dataclasses.replace(recipe, windowed=dataclasses.replace(recipe.windowed, rows=arguments.rows))
    return recipe


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _tell(arguments, figures: dict, table) -> int:
    """Prints the figures as a table and writes them where `--json` says."""
    import json

    print(table(figures))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")
    return 0


def _train(arguments) -> int:
    from .fit import fit_and_save

    fit_and_save(_recipe(arguments), arguments.data, arguments.out, _say)
    return 0


def _cross_validate(arguments) -> int:
    from .cross_validate import cross_validate, table
    from .folds import Scheme

    scheme = Scheme(arguments.by, arguments.folds, arguments.first_share, arguments.sliding_days)
    figures = cross_validate(_recipe(arguments), arguments.data, scheme, arguments.series_max, arguments.processes, _say)
    return _tell(arguments, figures, table)


def _export(arguments) -> int:
    import json

    from .export import export
    from .recipe import load_recipe
    from .trained import load, used_in

    scores = [json.loads(path.read_text()) for path in arguments.scores]
    export(load(arguments.run), load_recipe(arguments.recipe), arguments.out, scores, used_in(arguments.run))
    return _report([arguments.out])


def _report(folders: list[Path]) -> int:
    from .verify import problems_of

    failed = 0
    for folder in folders:
        problems = problems_of(folder)
        for problem in problems:
            print(f"{folder}: {problem}", file=sys.stderr)
        failed += bool(problems)
        if not problems:
            print(f"{folder}: good")
    return 1 if failed else 0


def _evaluate(arguments) -> int:
    from .evaluate import evaluate, series_for, table

    series = series_for(arguments.on, arguments.recipe, arguments.data, arguments.series_max)
    on = f"{arguments.on}-{arguments.series_max}" if arguments.series_max else arguments.on
    figures = evaluate(arguments.model, series, on, (arguments.from_day, arguments.to_day), arguments.processes)
    return _tell(arguments, figures, table)


def _compare(arguments) -> int:
    from .compare import Sample, compare, table
    from .evaluate import series_for
    from .statsforecasters import NAMES
    from .trace import parse_mapping, read_trace

    unknown = set(arguments.statsforecast) - set(NAMES)
    if unknown or bool(arguments.trace) != bool(arguments.map):
        print(f"prescale_training: --statsforecast knows {', '.join(NAMES)}; --trace and --map go together", file=sys.stderr)
        return 64
    if arguments.trace:
        series = read_trace(arguments.trace, parse_mapping(arguments.map), "trace", arguments.time_unit)
    else:
        series = series_for(arguments.on, arguments.recipe, arguments.data, None)
    sample = Sample(arguments.workloads, arguments.points, arguments.seed, arguments.history_bins)
    figures = compare(arguments.model, series, sample, arguments.statsforecast, _say)
    return _tell(arguments, figures, table)


def _watch(arguments) -> int:
    import shlex
    import time

    from .recipe import load_recipe
    from .watch import Terms, answer, enter_by, read_requests, train_and_export

    recipes = [load_recipe(path) for path in arguments.recipe]
    terms = Terms(arguments.workloads_min, arguments.before_days, arguments.weight)
    train, prescale = train_and_export(arguments.data, _say), shlex.split(arguments.prescale)
    while True:
        answer(read_requests(prescale), recipes, arguments.store, terms, train, enter_by(prescale), _say)
        if arguments.once:
            return 0
        time.sleep(arguments.every)


def _anomalies(arguments) -> int:
    import shlex

    from .detection import SETS, detection, table

    sets = {name: SETS[name](arguments.data) for name in arguments.on}
    return _tell(arguments, detection(sets, shlex.split(arguments.prescale), _say), table)


def main(given: list[str] | None = None) -> int:
    """Runs one command; 0 well, 1 failure, 64 bad usage."""
    from .recipe import RecipeError
    from .columns import SourceError
    from .detection import DetectionError
    from .watch import WatchError

    try:
        arguments = _parser().parse_args(given)
    except SystemExit as stop:
        return 64 if stop.code else 0
    commands = {"train": _train, "cross-validate": _cross_validate, "export": _export, "evaluate": _evaluate, "compare": _compare, "watch": _watch, "anomalies": _anomalies}
    try:
        if arguments.command == "verify":
            return _report(arguments.model)
        return commands[arguments.command](arguments)
    except (RecipeError, SourceError, DetectionError, WatchError, OSError) as error:
        print(f"prescale_training: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
