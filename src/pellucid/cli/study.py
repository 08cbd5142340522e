"""``pellucid study …``: build, serve, simulate and analyse a human study."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from pellucid.errors import BadInput

app = typer.Typer(
    help="Ask people, blind, which explanations they find sufficient and trustworthy.", no_args_is_help=True
)


StudyFolder = Annotated[Path, typer.Argument(help="Folder of a study.", metavar="STUDY")]
KeyFile = Annotated[Path | None, typer.Option(help="The sealed key; STUDY.key.json beside the study if absent.")]
Database = Annotated[str | None, typer.Option(help="URL of the answers' database; STUDY/answers.db if absent.")]
EffectName = Annotated[str, typer.Option(help="published (T3S, table 4), none, or a YAML file of means and SDs.")]
PlainJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command()
def build(
    runs: Annotated[list[Path], typer.Argument(help="Run directories to compare.", metavar="RUN…")],
    out: Annotated[Path, typer.Option(help="Folder for the study; it must not exist yet.")],
    images: Annotated[int, typer.Option(min=1, help="Images, which all runs classify correctly.")] = 10,
    practice: Annotated[int, typer.Option(min=0, help="Further images, for practice trials.")] = 2,
    attribution: Annotated[str, typer.Option(help="What explains the models.")] = "gradient",
    exclude: Annotated[
        list[int] | None, typer.Option(help="Position in the test set of an image not to use; may be repeated.")
    ] = None,
    protocol: Annotated[
        Path | None, typer.Option(help="YAML with your own consent, questions, checks and texts.", metavar="FILE.yaml")
    ] = None,
    key: Annotated[Path | None, typer.Option(help="Where the sealed key goes; beside OUT if absent.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides the images and the order of the items.")] = 0,
) -> None:
    """Make a blinded study of the explanations of trained models; the key to them is written apart."""
    from pellucid.study.building import build as build_study
    from pellucid.study.key import key_path
    from pellucid.study.protocol import read_protocol

    wording = read_protocol(protocol)
    from pellucid.experiments.stimuli import choose_stimuli  # late: torch takes seconds, a typing error does not

    chosen = choose_stimuli(
        runs, images=images, practice=practice, attribution=attribution, exclude=exclude or [], seed=seed
    )
    study = build_study(_material(chosen, images), wording, out, seed=seed, key=key)
    typer.echo(f"{len(study.images)} images × {study.conditions} models: {out}")
    typer.echo(f"key, to be kept from everybody until the analysis is frozen: {key or key_path(out)}")
    typer.echo(f"its SHA-256, to be published: {study.key_sha256}")
    if not wording.contact:
        typer.echo("no contact is given: put one, and your own consent, into --protocol FILE.yaml", err=True)


def _material(chosen: Any, images: int) -> Any:
    from pellucid.study.building import Explained, Material

    items = [
        Explained(number, name, chosen.pixels[place], {run: maps[place] for run, maps in chosen.maps.items()})
        for place, (number, name) in enumerate(zip(chosen.numbers, chosen.classes, strict=True))
    ]
    return Material(items[:images], items[images:], chosen.models)


@app.command()
def serve(
    study: StudyFolder,
    db: Database = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; others than this machine need 0.0.0.0.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8000,
    root_path: Annotated[str, typer.Option(help="Prefix under which a proxy shows the study, as /maps.")] = "",
    open_limit: Annotated[
        int | None, typer.Option("--open", min=0, help="Participants that the open link lets in (100 at first).")
    ] = None,
    away_after: Annotated[
        float, typer.Option(min=0.01, help="Minutes of silence after which a session's place is given to others.")
    ] = 30,
    completion_code: Annotated[str | None, typer.Option(help="Shown after the last answer is stored.")] = None,
    completion_url: Annotated[
        str | None, typer.Option(help="Link back, shown then, too; {code} in it is filled in.")
    ] = None,
) -> None:
    """Show the study to participants, and its progress to you. Stop with Ctrl-C; the same command goes on."""
    with _extra():
        from pellucid.study.web.server import Place, open_path, open_site
        from pellucid.study.web.server import serve as serve_site
    place = Place(host, port, root_path)
    site = open_site(
        study,
        db,
        code=completion_code,
        url=completion_url,
        open_limit=open_limit,
        inactive_after=60 * away_after,
    )
    typer.echo(f"open link:   {place.url(open_path(site.secrets))}")
    typer.echo(f"admin page:  {place.url('/admin')}")
    typer.echo(f"admin token: {site.secrets.admin_token}")
    serve_site(site, place)


@app.command()
def export(
    study: StudyFolder,
    out: Annotated[Path, typer.Option(help="Folder for answers.csv, participants.csv and answers.json.")],
    anonymous: Annotated[
        bool, typer.Option("--anonymous", help="Without ids, times of day, and free text on people.")
    ] = False,
    db: Database = None,
) -> None:
    """Write the answers as CSV and JSON; without the key nobody can tell the models apart."""
    from pellucid.study.protocol import read_study

    with _extra():
        from pellucid.study.exporting import export as write_files
        from pellucid.study.store import open_store
    content, store = read_study(study), open_store(study, db)
    for path in write_files(store, content, out, anonymous=anonymous):
        typer.echo(path)
    store.close()


@app.command()
def forget(
    study: StudyFolder,
    participant: Annotated[str, typer.Argument(help="Code (P-…) or external id.", metavar="PARTICIPANT")],
    db: Database = None,
) -> None:
    """Delete everything that a participant gave; what was exported before has to be deleted by hand."""
    import time

    from pellucid.study.protocol import read_study

    with _extra():
        from pellucid.study.participants import forget as forget_person
        from pellucid.study.store import open_store
    read_study(study)
    store = open_store(study, db)
    typer.echo(f"{forget_person(store, participant, now=time.time())}: deleted")
    store.close()


@app.command()
def freeze(
    study: StudyFolder,
    plan: Annotated[
        Path | None, typer.Option(help="YAML: questions, contrasts, alpha, exclusions, … that differ from the default.")
    ] = None,
) -> None:
    """Fix the analysis plan for good; only then can the key be opened. Prints the plan's hash, to be published."""
    from pellucid.study.plan import PLAN, read_choices
    from pellucid.study.plan import freeze as fix

    frozen, sha = fix(study, read_choices(plan))
    typer.echo(f"{study / PLAN}, frozen {frozen.frozen_at}\nsha256 {sha}")


@app.command()
def analyze(
    study: StudyFolder,
    unseal: Annotated[bool, typer.Option("--unseal", help="Open the key. Needs a frozen plan.")] = False,
    key: KeyFile = None,
    db: Database = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the report; STUDY-analysis beside the study.")] = None,
    json: PlainJson = False,
) -> None:
    """Count answers, blinded; with --unseal analyse them by the frozen plan: report, figures, R script."""
    from pellucid.study import analysis, plan, reporting
    from pellucid.study.protocol import read_study
    from pellucid.study.sentences import sentences

    public = read_study(study)
    answers, people, exported = _answers(study, db)
    if not unseal:
        frozen = plan.read_plan(study)[0] if (study / plan.PLAN).exists() else None
        counted = analysis.blinded(public, frozen, answers, people)
        _print_object(counted) if json else typer.echo("\n".join(reporting.blinded_lines(counted)))
        return
    opened = analysis.unseal(study, key)
    result = analysis.analyse(public, plan.read_plan(study)[0], opened, answers, people)
    folder = out or study.absolute().with_name(f"{study.absolute().name}-analysis")
    page = reporting.write_analysis(result, public, opened, exported, folder)
    _print_object(result) if json else typer.echo("\n".join([*sentences(result), f"report: {page}"]))


@app.command()
def simulate(
    study: StudyFolder,
    participants: Annotated[int, typer.Option(min=1, help="How many simulated people take part.")] = 20,
    concurrency: Annotated[int, typer.Option(min=1, help="How many of them at a time.")] = 5,
    effect: EffectName = "published",
    key: KeyFile = None,
    db: Database = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    json: PlainJson = False,
) -> None:
    """A dry run: simulated people take part by the same requests as a browser. Needs a study without answers."""
    from pellucid.study.people import read_people
    from pellucid.study.protocol import read_study

    read_study(study)
    with _extra():
        from pellucid.study.exporting import rows
        from pellucid.study.store import open_store
    store = open_store(study, db)
    taken = len(rows(store)[1])
    store.close()
    if taken:
        raise BadInput(f"{taken} people took part in {study} already; simulate in a copy that holds no answers")
    people = read_people(study, effect, key, people=participants, seed=seed)
    with _extra():
        from pellucid.study.simulate import hurried_clock
        from pellucid.study.simulate import simulate as run
        from pellucid.study.web.server import running
    with running(study, db, clock=hurried_clock()) as link:
        done = run(link, participants, concurrency=concurrency, seed=seed, ratings=people.answer)
    counted = {name: getattr(done, name) for name in ("joined", "finished", "vanished", "retries")}
    counted |= {"acknowledged": len(done.acknowledged)}
    _print_object(counted) if json else typer.echo(", ".join(f"{name} {value}" for name, value in counted.items()))


@app.command()
def power(
    effect: EffectName = "published",
    images: Annotated[int, typer.Option(min=1, help="Images that every participant rates under every model.")] = 10,
    power: Annotated[float, typer.Option(min=0.01, max=0.999, help="Wanted for every contrast that matters.")] = 0.8,
    smallest: Annotated[float, typer.Option(min=0, help="Difference of mean ratings that matters.")] = 0.2,
    alpha: Annotated[float, typer.Option(min=1e-6, max=0.5, help="Family-wise error.")] = 0.05,
    repeats: Annotated[int, typer.Option(min=20, help="Simulated studies.")] = 400,
    most: Annotated[int, typer.Option(min=2, help="Most participants to think of.")] = 300,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    json: PlainJson = False,
) -> None:
    """How many participants a study needs, by simulating the planned analysis."""
    from pellucid.study.effects import all_effects
    from pellucid.study.power import Search, planned_participants, power_lines

    search = Search(power=power, smallest=smallest, alpha=alpha, repeats=repeats, most=most)
    found = planned_participants(all_effects(effect), search, images=images, seed=seed)
    _print_object(found) if json else typer.echo("\n".join(power_lines(found)))


@app.command()
def audit(json: PlainJson = False) -> None:
    """What the published user study's own numbers imply about its data: a worked example of an audit."""
    from pellucid.study.audit import audit as compute
    from pellucid.study.audit import sentences

    found = compute()
    _print_object(found) if json else typer.echo("\n".join(sentences(found)))


def _answers(study: Path, db: str | None) -> tuple[list[Any], list[Any], dict[str, str]]:
    """Answers, participants, and the files of the export."""
    with _extra():
        from pellucid.study.exporting import files, rows
        from pellucid.study.store import open_store
        from pellucid.study.store.engine import ANSWERS
    from pellucid.study.protocol import read_study

    if db is None and not (study / ANSWERS).exists():
        raise BadInput(f"{study} holds no answers yet; where are they? (--db URL if they are in another database)")
    store, public = open_store(study, db), read_study(study)
    try:
        return *rows(store), files(store, public, anonymous=False)
    finally:
        store.close()


@contextmanager
def _extra() -> Iterator[None]:
    """One sentence instead of an ImportError where the packages of the study are not installed."""
    try:
        yield
    except ImportError as error:
        raise BadInput("this needs the study extra: pip install 'pellucid[study]'") from error


def _print_object(value: Any) -> None:
    import json

    from pellucid.files import finite

    typer.echo(json.dumps(finite(value), ensure_ascii=False))
