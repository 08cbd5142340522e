"""What a study asks, of whom, and in which words: the content of ``study.json`` and of the YAML that shapes it."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from pellucid.errors import BadInput
from pellucid.files import read_json, read_yaml
from pellucid.naming import first_problem
from pellucid.study.texts import Texts

STUDY = "study.json"
STIMULI = "stimuli"
POINTS = 5
"""Steps of the rating scale (Likert; T3S §5.2)."""

PARTICIPANT_COLUMNS = ("participant", "state", "cell", "started_at", "finished_at", "external_id", "user_agent_class")
"""What stands in participants.csv besides the demographics."""

Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
Opaque = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
Line = Annotated[str, StringConstraints(min_length=1, max_length=2000)]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Question(_Frozen):
    """A statement that is rated from 1, strongly disagree, to 5, strongly agree."""

    id: Identifier
    text: Line


class Choice(_Frozen):
    """The question of the side-by-side block, and that for the reason behind the choice."""

    text: Line = "Which explanation is the most comprehensible?"
    reason: Line = "Why? A few words are enough."
    reason_required: bool = True


class AttentionCheck(_Frozen):
    """An item with one right answer on the rating scale, which its text states."""

    id: Identifier
    text: Line
    expected: int = Field(ge=1, le=POINTS)


class Demographic(_Frozen):
    """One question about the participant: a choice among `options`, a whole number, or a short text."""

    id: Identifier
    text: Line
    kind: Literal["choice", "number", "text"] = "choice"
    options: tuple[Line, ...] = ()
    required: bool = False

    @model_validator(mode="after")
    def _options_fit(self) -> Self:
        if (self.kind == "choice") != bool(self.options):
            raise ValueError(f"'{self.id}' needs options if it is a choice, and none otherwise")
        return self


QUESTIONS = (  # T3S §5.2, after Hoffman's satisfaction scale
    Question(
        id="sufficiency", text="The explanation provides sufficient information to understand the model’s decision."
    ),
    Question(id="trust", text="Based on this explanation, I trust the model’s classification."),
)
SCALE = ("Strongly disagree", "Disagree", "Neither", "Agree", "Strongly agree")
CHECKS = (
    AttentionCheck(
        id="check-1", text="To show that you read every question, please answer “Disagree” here.", expected=2
    ),
    AttentionCheck(id="check-2", text="This one is not about a picture: please answer “Strongly agree”.", expected=5),
)
DEMOGRAPHICS = (
    Demographic(
        id="age",
        text="Your age",
        options=("18–24", "25–34", "35–44", "45–54", "55–64", "65 or older", "I would rather not say"),
    ),
    Demographic(
        id="experience",
        text="Your experience with machine learning or computer vision",
        options=("None", "Less than a year", "One to three years", "More than three years", "I would rather not say"),
    ),
    Demographic(
        id="vision",
        text="Do you see colours and contrasts well on this screen, with glasses or lenses if you use them?",
        options=("Yes", "Partly", "No", "I would rather not say"),
    ),
)
CONSENT = (
    "This study is about computer programs that recognise what a picture shows, and about maps that are meant to "
    "explain how they came to their answer. You will look at such maps and say what you think of them.",
    "Taking part is voluntary. You can stop at any time by closing the page, without giving a reason, and you can have "
    "your answers deleted.",
    "What is stored: your answers, when you gave them, and what you tell about yourself on the next page. No address "
    "of your computer is kept. The answers may be published in a form that does not tell who gave them.",
)
INSTRUCTIONS = (
    "A computer program was shown an image and said what is in it. Beside each image you will see its explanation: a "
    "map of the same size. {reading}",
    "Each explanation comes with statements. Say how far you agree with each of them. The same image can come again "
    "with another explanation; judge each one by itself.",
    "At the end you will see explanations of the same image side by side, choose one, and say why.",
    "There is no time limit. You can leave and come back: every answer is saved at once.",
)


class Protocol(_Frozen):
    """The part of a study that its authors write; every entry has a default."""

    title: Line = "What makes an explanation good?"
    language: Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")] = "en"
    contact: str = Field("", max_length=500)
    consent: tuple[Line, ...] = CONSENT
    instructions: tuple[Line, ...] = INSTRUCTIONS
    demographics: tuple[Demographic, ...] = DEMOGRAPHICS
    questions: tuple[Question, ...] = Field(QUESTIONS, min_length=1, max_length=10)
    scale: tuple[Line, ...] = Field(SCALE, min_length=POINTS, max_length=POINTS)
    choice: Choice = Choice()
    attention: tuple[AttentionCheck, ...] = Field(CHECKS, max_length=10)
    refresher_after_minutes: float = Field(60, gt=0)
    texts: Texts = Texts()

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [item.id for group in (self.questions, self.attention) for item in group] + ["choice"]
        for group in (names, [item.id for item in self.demographics] + list(PARTICIPANT_COLUMNS)):
            twice = [name for name, count in Counter(group).items() if count > 1]
            if twice:
                raise ValueError(f"two questions are called '{twice[0]}'")
        return self


class Pictured(_Frozen):
    """One image of the study: what the models see in it, and its stimuli in every order of the Williams design.

    Attributes
    ----------
    orders
        Row r holds the stimuli in the order in which somebody in cell r sees them. The rows are permuted from image to
        image, so that no place in this table belongs to one model.
    """

    image: Opaque
    label: Line = Field(alias="class")
    orders: tuple[tuple[Opaque, ...], ...]


class Practice(_Frozen):
    """A training trial: one stimulus of an image that does not come again."""

    image: Opaque
    label: Line = Field(alias="class")
    stimulus: Opaque


class Study(Protocol):
    """The whole of ``study.json``. It names no model, and nothing in it tells which stimuli come from the same one.

    Attributes
    ----------
    signed_maps
        Whether maps have red and blue places (for and against the answer), or bright and dark ones.
    """

    format: Literal[1] = 1
    seed: int = Field(ge=0)
    signed_maps: bool = False
    conditions: int = Field(ge=2)
    images: tuple[Pictured, ...] = Field(min_length=1)
    training: tuple[Practice, ...] = ()
    key_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]

    @property
    def cells(self) -> int:
        """Orders that participants are spread over."""
        return len(self.images[0].orders)

    def labels(self) -> dict[str, str]:
        """What the models see in each image, by the image's name."""
        return {item.image: item.label for item in self.images} | {item.image: item.label for item in self.training}

    def stimuli(self) -> Iterator[str]:
        """Every stimulus once, training first."""
        yield from (item.stimulus for item in self.training)
        for item in self.images:
            yield from sorted(item.orders[0])


def read_protocol(path: Path | None) -> Protocol:
    """The protocol in a YAML file; all defaults without one. Raises BadInput with the first entry that is wrong."""
    if path is None:
        return Protocol()
    raw = read_yaml(path)
    return _checked(Protocol, raw if raw is not None else {}, path)


def read_study(folder: Path) -> Study:
    """The study in a folder made by ``pellucid study build``. Raises BadInput if there is none, or it is damaged."""
    path = folder / STUDY
    if not path.is_file():
        raise BadInput(f"{folder} holds no study (no {STUDY}); make one with pellucid study build")
    return _checked(Study, read_json(path), path)


_Model = TypeVar("_Model", bound=Protocol)


def _checked(kind: type[_Model], raw: Any, path: Path) -> _Model:
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        raise BadInput(f"{path}: {first_problem(error)}") from error
