"""What a user may ask `crar landscape` to measure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from crar_model.agent.loss import SHOWN
from crar_model.core.errors import UserError
from crar_model.core.params import DYNAMICS
from crar_model.core.sizes import SAMPLE, check_picture
from crar_model.tasks import Task


@dataclass(frozen=True)
class LandscapeOptions:
    """What to measure.

    Attributes:
        points: points per line. resolution: points per axis of the surface.
        blocks: blocks of the dynamics that the second axis and the free paths move.
        terms: loss terms to sample and show.
        space: where surface and paths run, "embedding" or "weight"; "auto" is the task's choice: the embedding where the encoder can
            set every state freely.
        align: match hidden units before going to the optimum in weight space.
        quick: fewer iterations everywhere. full: where transitions are sampled, longer descents and the theorem's figures, which take as long as
            all else. certificate: converge and certify the failed encoder.
        sample: where transitions are sampled, those of the certificate and the paths; None takes the usual number, or what there is.
        image: "png" or "svg".
        cured: file of the network that `crar cure` made of the failed one, for the explorer; where it is "" one is looked for if that takes seconds.
    """

    points: int = 101
    resolution: int = 51
    blocks: tuple[str, ...] = DYNAMICS
    terms: tuple[str, ...] = SHOWN
    space: str = "auto"
    align: bool = True
    quick: bool = False
    full: bool = False
    certificate: bool = True
    sample: int | None = None
    image: str = "png"
    cured: str = ""

    def validate(self) -> None:
        """Raise UserError for a value out of range."""
        if self.points < 2:
            raise UserError(f"--points is {self.points}; give at least 2")
        if self.resolution < 2:
            raise UserError(f"--resolution is {self.resolution}; give at least 2")
        if self.sample is not None and self.sample < 1:
            raise UserError(f"--sample is {self.sample}; give at least 1")
        check_picture(points=self.points, resolution=self.resolution, sample=SAMPLE if self.sample is None else self.sample)
        if self.quick and self.full:
            raise UserError("--quick and --full ask for opposite things; give one of them")
        for flag, given, known in (("--blocks", self.blocks, DYNAMICS), ("--terms", self.terms, SHOWN)):
            for word in given:
                if word not in known:
                    raise UserError(f"{flag}: unknown {word!r}; choose from {', '.join(known)}")
            if not given:
                raise UserError(f"{flag} names nothing; choose from {', '.join(known)}")
        for flag, word, choices in (("--space", self.space, ("auto", "embedding", "weight")), ("--format", self.image, ("png", "svg"))):
            if word not in choices:
                raise UserError(f"{flag} is {word!r}; choose {' or '.join(choices)}")

    def settled(self, task: Task) -> LandscapeOptions:
        """The options with "auto" and the sample settled for a task.

        Raises:
            UserError: for a larger `sample` than a world of one's own holds out.
        """
        return replace(self, space=task.sampling.space if self.space == "auto" else self.space, sample=task.sample_size(self.sample))
