"""The commands. Each turns words into values, calls the pipeline, and turns errors into lines."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from tme.errors import TmeError

app = typer.Typer(
    name="tme",
    help="Did the tumour's microenvironment change on treatment?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
stage = typer.Typer(help="One stage; what the workflow's rules call.", no_args_is_help=True)
models = typer.Typer(help="Segmentation engines and their weights.", no_args_is_help=True)
app.add_typer(stage, name="stage")
app.add_typer(models, name="models")

Sheet = Annotated[Path, typer.Argument(help="Sample sheet (CSV), or a folder of slides.")]
Output = Annotated[Path, typer.Option("--output", "-o", help="Folder of the results.")]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="YAML settings; see configs/default.yaml.")]
ModelsFolder = Annotated[
    Path | None,
    typer.Option("--in", envvar="TME_MODELS", help="Folder of fetched weights, in place of the usual one."),
]
Cores = Annotated[int, typer.Option("--cores", min=1, help="Cores to use.")]


@app.command()
def demo(
    output: Output = Path("demo-results"),
    seed: Annotated[int | None, typer.Option(help="Render a fresh cohort from this seed.")] = None,
    cores: Cores = 2,
) -> None:
    """Run the sample cohort end to end and compare what is measured with what is true."""
    from tme.pipeline.demo import run_demo

    raise typer.Exit(run_demo(output, seed, cores, typer.echo))


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Folder of slides.")], config: ConfigFile = None
) -> None:
    """Write cohort.csv from the file names, for editing."""
    from tme.cohort import write_sheet
    from tme.config import load_config
    from tme.stains import stain_names

    path = write_sheet(folder, load_config(config).cohort, stain_names())
    typer.echo(f"wrote {path}; check it, then: tme run {path} -o results")


@app.command()
def check(sheet: Sheet, config: ConfigFile = None, cores: Cores = 2) -> None:
    """Preflight of every slide and row: all problems at once, nothing computed."""
    from tme.pipeline.check import check_sheet

    raise typer.Exit(check_sheet(sheet, config, cores, typer.echo))


@app.command()
def run(
    sheet: Sheet,
    output: Output = Path("results"),
    config: ConfigFile = None,
    cores: Cores = 2,
    profile: Annotated[str, typer.Option(help="Snakemake profile: slurm, or a folder.")] = "",
    plan: Annotated[bool, typer.Option("--plan", help="Only say what would run and why.")] = False,
) -> None:
    """Run the whole workflow; run it again to go on after an interruption."""
    from tme.pipeline.drive import RunRequest, describe_plan, drive, open_run

    request = RunRequest(sheet, output, config, cores, profile)
    if plan:
        for line in describe_plan(open_run(request)):
            typer.echo(line)
        return
    raise typer.Exit(drive(request, typer.echo))


@app.command()
def calibrate(
    sheet: Annotated[
        Path, typer.Argument(help="CSV of control slides: stain, slide and, where known, batch.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="New file of the thresholds.")] = Path(
        "calibration.json"
    ),
    config: ConfigFile = None,
) -> None:
    """Read DAB thresholds from control slides and freeze them in a file the settings name."""
    from tme.pipeline.calibrate import CalibrateRequest, run_calibrate

    raise typer.Exit(run_calibrate(CalibrateRequest(sheet, output, config), typer.echo))


@app.command()
def train(
    fields: Annotated[Path, typer.Argument(help="Folder, or CSV sheet, of labelled fields.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="New folder of the weights.")],
    name: Annotated[str | None, typer.Option(help="The weights' name; else the folder's.")] = None,
    start: Annotated[
        Path | None, typer.Option(help="Description (.json) to go on from; else what comes with tme.")
    ] = None,
    mpp: Annotated[
        float | None, typer.Option(min=0.05, max=1, help="µm/px of images that do not say it.")
    ] = None,
    hold_out: Annotated[float, typer.Option(min=0, max=0.5, help="Share of fields to judge by.")] = 0.25,
    patient_pattern: Annotated[
        str | None, typer.Option(help="Regular expression; what it matches at a name's start is the patient.")
    ] = None,
    lymphocyte: Annotated[
        list[str] | None, typer.Option(help="Class that is a lymphocyte, in place of the usual; repeatable.")
    ] = None,
    incomplete: Annotated[bool, typer.Option("--incomplete", help="Not every nucleus is labelled.")] = False,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps; else by the number of fields.")] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0.1, help="Most minutes of training; 8 unless --steps is given.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides crops and held fields.")] = 0,
    cores: Cores = 2,
    keep_anyway: Annotated[
        bool, typer.Option("--keep-anyway", help="Keep the weights even if they are not better.")
    ] = False,
) -> None:
    """Fine-tune tme's own network on labelled fields and compare it on fields held out."""
    from tme.pipeline.train import TrainRequest
    from tme.pipeline.train import train as work

    request = TrainRequest(
        fields,
        output,
        name,
        start,
        mpp,
        hold_out,
        patient_pattern,
        tuple(lymphocyte or ()),
        not incomplete,
        steps,
        minutes,
        seed,
        cores,
        keep_anyway,
    )
    raise typer.Exit(work(request, typer.echo))


@app.command()
def repeatability(
    sheet: Annotated[
        Path, typer.Argument(help="Sample sheet (CSV) or folder of slides, or a folder of finished results.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File of the coefficients; a page is written beside it.")
    ] = Path("repeatability.json"),
    results: Annotated[
        Path, typer.Option(help="Folder of the run, if SHEET is no finished one; reused.")
    ] = Path("repeatability-results"),
    config: ConfigFile = None,
    cores: Cores = 2,
) -> None:
    """Repeatability coefficients from repeats of one lesion, frozen in a file a config names."""
    from tme.pipeline.repeatability import RepeatabilityRequest, run_repeatability

    request = RepeatabilityRequest(sheet, output, results, config, cores)
    raise typer.Exit(run_repeatability(request, typer.echo))


@app.command()
def associate(
    results: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    outcomes: Annotated[Path, typer.Argument(help="CSV with one row per patient; see docs/outcomes.md.")],
    config: Annotated[
        Path | None, typer.Option("--config", help="YAML settings; of these, only 'outcomes' counts.")
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option("--sheet", help="Sample sheet, for biopsy dates where it gives no biopsy_day."),
    ] = None,
) -> None:
    """Test the changes against response, tumour size and survival; write cohort_tests.csv."""
    from tme.pipeline.associate import AssociateRequest, run_associate

    raise typer.Exit(run_associate(AssociateRequest(results, outcomes, config, sheet), typer.echo))


@app.command()
def export(
    results: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    to: Annotated[str, typer.Option("--to", help="anndata, spatialdata, qupath, ome-zarr or csv.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="New or empty folder.")],
    slide: Annotated[
        list[str] | None, typer.Option("--slide", help="slide_id; repeatable. All slides without it.")
    ] = None,
    together: Annotated[
        bool, typer.Option("--together", help="anndata: all slides in one file, by the key slide_id.")
    ] = False,
    ngff: Annotated[str, typer.Option(help="Version of OME-Zarr: 0.5, or 0.4 for older readers.")] = "0.5",
) -> None:
    """Cells, vessels and tissue for scanpy, squidpy, SpatialData, QuPath, napari or a spreadsheet."""
    from tme.pipeline.export import ExportRequest, run_export

    request = ExportRequest(results, to, output, tuple(slide or ()), together, ngff)
    raise typer.Exit(run_export(request, typer.echo))


@app.command()
def report(
    results: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    pdf: Annotated[
        bool, typer.Option("--pdf", help="Also print it to PDF, with a browser found here.")
    ] = False,
    share: Annotated[
        bool, typer.Option("--share", help="Write report/shared.html: pseudonyms for names, days for dates.")
    ] = False,
    figures: Annotated[
        Path | None, typer.Option("--figures", help="Folder for each figure as SVG and PDF.")
    ] = None,
) -> None:
    """Write the report anew; for colleagues without names, for print, or its figures for a paper."""
    from tme.pipeline.report_job import ReportRequest, run_report

    raise typer.Exit(run_report(ReportRequest(results, pdf, share, figures), typer.echo))


@app.command()
def explain(name: Annotated[str, typer.Argument(help="A metric, column or test, or 'config'.")]) -> None:
    """Definition, unit, formula, paper and caveats of a metric, column or test."""
    from tme.dictionary import explain as explain_metric

    typer.echo(explain_metric(name))


@app.command()
def doctor() -> None:
    """Versions, engines, codecs, GPU, cores, memory and disk of this installation."""
    from tme.pipeline.doctor import report

    for line in report():
        typer.echo(line)


@models.command("list")
def models_list(
    folder: ModelsFolder = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Every engine: whether it can run here, its terms, and where its weights lie."""
    from tme.pipeline.models import list_models, models_folder

    raise typer.Exit(list_models(models_folder(folder), as_json, typer.echo))


@models.command("fetch")
def models_fetch(
    name: Annotated[str, typer.Argument(help="A file that `tme models list` names, or an engine.")],
    source: Annotated[
        str | None, typer.Option("--from", help="https address or file, in place of the authors' address.")
    ] = None,
    sha256: Annotated[
        str | None, typer.Option("--sha256", help="What the file must have, where tme does not know it.")
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--to", envvar="TME_MODELS", help="Folder for the file, in place of the usual one."),
    ] = None,
) -> None:
    """Get weights, check them, and say what to write in the settings."""
    from tme.pipeline.fetch import FetchRequest, run_fetch
    from tme.pipeline.models import models_folder

    raise typer.Exit(run_fetch(FetchRequest(name, models_folder(folder), source, sha256), typer.echo))


@models.command("verify")
def models_verify(
    names: Annotated[
        list[str] | None, typer.Argument(help="Engines, files or folders; without any, all weights here.")
    ] = None,
    folder: ModelsFolder = None,
) -> None:
    """Read weights anew and compare them with the sha256 they must have."""
    from tme.pipeline.models import models_folder, verify_models

    raise typer.Exit(verify_models(names or [], models_folder(folder), typer.echo))


@stage.command("slides")
def stage_slides(
    slides: Annotated[list[str], typer.Argument(help="slide_id values of the sheet.")],
    sheet: Annotated[Path, typer.Option()],
    output: Annotated[Path, typer.Option()],
    config: ConfigFile = None,
    workers: Annotated[int, typer.Option(min=1)] = 1,
) -> None:
    """Bring these slides to their outcome.json."""
    from tme.pipeline.stages import stage_slides as work

    work(slides, sheet, output, config, workers)


@stage.command("cohort")
def stage_cohort(
    sheet: Annotated[Path, typer.Option()],
    output: Annotated[Path, typer.Option()],
    config: ConfigFile = None,
) -> None:
    """Tables, change and report from the slides' artefacts."""
    from tme.pipeline.stages import stage_cohort as work

    work(sheet, output, config)


def main() -> NoReturn:
    """Entry point: an error a user can mend is a line and an exit code, never a traceback."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    try:
        app(standalone_mode=True)
    except TmeError as error:
        typer.echo(f"tme: {error}", err=True)
        sys.exit(error.exit_code)
    except PermissionError as error:
        typer.echo(f"tme: {error.filename} · cannot be read or written · {error.strerror}", err=True)
        sys.exit(1)
    sys.exit(0)
