"""The dashboard as a W&B workspace and as a W&B report.

`wandb_workspaces` gives panels and sections random ids. They mean nothing outside their own document; the specification
that is printed numbers them instead, so that the same dashboard is the same text.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import wandb_workspaces.reports.v2 as reports
from wandb_workspaces import workspaces

from analysis.dashboard.panels import GROUPED_BY, SECTIONS, STEP_AXIS, Chart, Section
from analysis.sources.wandb import api as wandb_api

_MOST_RUNS = 100
# Of 24 columns.
_CHART_WIDTH, _CHART_HEIGHT, _COLUMNS = 12, 8, 2
_IDS = ("__id__", "id", "ref", "viewID")


@dataclass(frozen=True)
class Pushed:
    """Addresses of what was pushed."""

    workspace: str
    report: str


def workspace(entity: str, project: str, name: str) -> workspaces.Workspace:
    """The dashboard as a workspace: runs grouped by rule, K and regularizer, a section of panels a topic."""
    return workspaces.Workspace(
        entity=entity,
        project=project,
        name=name,
        auto_generate_panels=False,
        sections=[
            workspaces.Section(name=section.name, is_open=True, panels=list(_panels(section))) for section in SECTIONS
        ],
        settings=workspaces.WorkspaceSettings(x_axis=STEP_AXIS.name, max_runs=_MOST_RUNS),
        runset_settings=workspaces.RunsetSettings(groupby=[workspaces.Config(key) for key in GROUPED_BY]),
    )


def report(entity: str, project: str, name: str) -> reports.Report:
    """The dashboard as a report: the same panels, each section with what to look for."""
    blocks: list[object] = [
        reports.P(f"Runs are grouped by {', '.join(GROUPED_BY)}; a line is the mean over seeds, its band their range."),
        reports.TableOfContents(),
    ]
    for section in SECTIONS:
        runs = reports.Runset(entity=entity, project=project, name="Runs", groupby=[f"config.{k}" for k in GROUPED_BY])
        grid = reports.PanelGrid(runsets=[runs], panels=list(_panels(section)), hide_run_sets=True)
        blocks += [reports.H2(section.name), reports.P(section.about), grid]
    return reports.Report(entity=entity, project=project, title=name, blocks=blocks, width="fluid")


def push(entity: str, project: str, name: str) -> Pushed:
    """Save both on W&B; a view that is there already, of this name or another, stays as it is.

    Raises:
        WandbError: there is no key, no network, or the server refuses them.
    """
    wandb_api.connect()
    try:
        # The report first: it makes the project where there is none.
        saved_report = report(entity, project, name).save()
        saved_workspace = workspace(entity, project, name).save()
    except Exception as error:  # the client raises a dozen kinds, down to plain Exception
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise wandb_api.WandbError(f"W&B did not take the dashboard of {entity}/{project}: {reason}") from error
    return Pushed(str(saved_workspace.url), str(saved_report.url))


def specification(entity: str, project: str, name: str) -> str:
    """The workspace's specification as JSON, the same for the same dashboard; nothing is asked of a server."""
    # Its only form without a server is private; the version is bounded.
    model = workspace(entity, project, name)._to_model()
    document = json.loads(model.model_dump_json(by_alias=True, exclude_none=True))
    return json.dumps(_with_numbered_ids(document), indent=2, ensure_ascii=False)


def _panels(section: Section) -> Iterator[reports.LinePlot]:
    for index, chart in enumerate(section.charts):
        row, column = divmod(index, _COLUMNS)
        place = reports.Layout(column * _CHART_WIDTH, row * _CHART_HEIGHT, _CHART_WIDTH, _CHART_HEIGHT)
        yield _line_plot(chart, place)


def _line_plot(chart: Chart, place: reports.Layout) -> reports.LinePlot:
    fraction = chart.unit == "fraction"
    return reports.LinePlot(
        title=chart.title,
        x=STEP_AXIS.name,
        y=[metric.name for metric in chart.metrics],
        title_x=STEP_AXIS.label,
        title_y="share" if fraction else chart.unit,
        range_y=(0, 1) if chart.title.startswith(("pass@", "Shares")) else (None, None),
        groupby_aggfunc="mean",
        groupby_rangefunc="minmax",
        smoothing_type="none",
        max_runs_to_show=_MOST_RUNS,
        layout=place,
    )


def _with_numbered_ids(document: object) -> object:
    numbers: dict[str, str] = {}

    def renamed(value: object) -> object:
        if isinstance(value, dict):
            return {
                key: numbers.setdefault(inner, str(len(numbers)))
                if key in _IDS and isinstance(inner, str) and inner
                else renamed(inner)
                for key, inner in value.items()
            }
        return [renamed(inner) for inner in value] if isinstance(value, list) else value

    return renamed(document)
