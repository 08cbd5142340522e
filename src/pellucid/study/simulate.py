"""Participants who are not people: they go through a served study by the same requests as a browser."""

import asyncio
import itertools
import math
import random
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx

from pellucid.errors import RunFailed

PATIENCE = 60.0
"""Seconds for which one request is tried again."""

SECONDS, SPEED = 5.0, 200.0
"""What people say a trial took them, in the median; and how many times faster than ours the clock of a dry run goes."""


def hurried_clock() -> Callable[[], float]:
    """A clock for the server of a dry run: answers that come at once seem to take as long as those of people.

    So the rules of a frozen plan that leave out who was too fast do not leave out everybody. It runs into the future.
    """
    began = time.time()
    return lambda: began + SPEED * (time.time() - began)


@dataclass(frozen=True)
class Asked:
    """One trial as a simulated participant sees it.

    Attributes
    ----------
    person
        0-based number of the participant in this simulation.
    block
        training, rating, attention or choice.
    stimulus
        What is rated; empty in the choice block and in checks.
    shown
        All stimuli on the screen, in their order.
    questions
        The questions to answer: in the choice block ``("choice",)``, in a check its id.
    """

    person: int
    trial: int
    block: str
    image: str
    stimulus: str
    shown: tuple[str, ...]
    questions: tuple[str, ...]


Ratings = Callable[[Asked, random.Random], Mapping[str, int]]
"""The answers to a trial: question → 1 … 5; for a choice ``{"choice": place on the screen from 1}``."""


@dataclass
class Summary:
    """What happened.

    Attributes
    ----------
    acknowledged
        Keys of all answers that the server said it had saved.
    seconds
        How long each saving took, retries included.
    retries
        Requests that had to be sent again, because the server was away or busy.
    """

    joined: int = 0
    finished: int = 0
    vanished: int = 0
    retries: int = 0
    acknowledged: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Habits:
    """What simulated participants do besides answering.

    Attributes
    ----------
    pause
        Mean seconds between two answers of one participant, exponentially distributed.
    reloads
        How often each participant loads the page again in the middle of the trials.
    double_clicks
        Share of answers that are sent twice at the same moment.
    vanishing
        Share of participants who leave for good at a random place.
    """

    pause: float = 0.0
    reloads: int = 0
    double_clicks: float = 0.0
    vanishing: float = 0.0


DILIGENT = Habits()


def simulate(
    base_url: str,
    participants: int,
    *,
    concurrency: int = 10,
    seed: int = 0,
    ratings: Ratings,
    habits: Habits = DILIGENT,
) -> Summary:
    """Send `participants` through a served study, `concurrency` of them at a time.

    Parameters
    ----------
    base_url
        The open link of the study, as ``pellucid study serve`` prints it or
        :func:`pellucid.study.web.server.running` yields it.
    ratings
        Answers a trial, from what is :class:`Asked` and a generator of the participant's own.

    Raises
    ------
    RunFailed
        If the server refuses what a browser would have sent, or stays away for longer than a minute.
    """
    try:
        return asyncio.run(_everybody(base_url, participants, concurrency, seed, ratings, habits))
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None  # what stopped the others, too


async def _everybody(
    link: str, participants: int, concurrency: int, seed: int, ratings: Ratings, habits: Habits
) -> Summary:
    summary = Summary()
    numbers = iter(range(participants))

    async def worker() -> None:
        for number in numbers:
            await _Person(link, number, random.Random(f"{seed} {number}"), ratings, habits, summary).take_part()

    async with asyncio.TaskGroup() as group:
        for _ in range(min(concurrency, participants)):
            group.create_task(worker())
    return summary


class _Vanished(Exception):
    """A participant has gone."""


class _Person:
    """One browser, from the link to the thanks."""

    def __init__(
        self, link: str, number: int, rng: random.Random, ratings: Ratings, habits: Habits, summary: Summary
    ) -> None:
        self._link, self._number, self._rng, self._ratings = link, number, rng, ratings
        self._habits, self._summary = habits, summary
        self._home = link.rsplit("/join/", 1)[0] + "/study"
        self._leaves_at = rng.random() if rng.random() < habits.vanishing else 2.0
        self._reloads_at = [rng.random() for _ in range(habits.reloads)]

    async def take_part(self) -> None:
        """The whole way, or up to where this one leaves."""
        async with httpx.AsyncClient(
            timeout=30,
            follow_redirects=True,
            verify=self._link.startswith("https:"),  # reading all certificates takes longer than a request
        ) as self._browser:
            try:
                page = await self._submit(await self._get(self._link))
                self._summary.joined += 1
                while page.trials or page.action:
                    page = await (self._trials(page) if page.trials else self._submit(page))
                self._summary.finished += 1
            except _Vanished:
                self._summary.vanished += 1

    async def _trials(self, page: "_Page") -> "_Page":
        """Answer the trials of a page, up to its end or to a reload; the page that comes then."""
        for number, (trial, asked) in enumerate(page.trials):
            done = trial / page.total
            if done >= self._leaves_at:
                raise _Vanished
            if number and any(done >= place for place in self._reloads_at):
                self._reloads_at = [place for place in self._reloads_at if place > done]
                again = await self._get(self._home)
                if not again.trials or again.trials[0][0] != trial:
                    raise RunFailed(f"after a reload trial {trial} should come next, and did not")
                return again
            await self._answer(page, self._asked(trial, asked))
        return await self._get(self._home)

    def _asked(self, trial: int, section: Mapping[str, str]) -> Asked:
        block, shown = section["data-block"], tuple(filter(None, section["data-shown"].split("|")))
        stimulus = shown[0] if shown and block != "choice" else ""
        questions = tuple(section["questions"].split())
        return Asked(self._number, trial, block, section["data-image"], stimulus, shown, questions)

    async def _answer(self, page: "_Page", asked: Asked) -> None:
        if self._habits.pause:
            await asyncio.sleep(self._rng.expovariate(1 / self._habits.pause))
        key = secrets.token_hex(16)
        answer = {
            "key": key,
            "trial": asked.trial,
            "values": dict(self._ratings(asked, self._rng)),
            "reason": "simulated" if asked.block == "choice" else "",
            "milliseconds": round(1000 * self._rng.lognormvariate(math.log(SECONDS), 0.4)),  # the server cuts it short
        }
        sending = 2 if self._rng.random() < self._habits.double_clicks else 1
        headers = {"X-CSRF-Token": page.form["csrf"]}
        began = time.perf_counter()
        await asyncio.gather(*(self._send("POST", page.save, json=answer, headers=headers) for _ in range(sending)))
        self._summary.seconds.append(time.perf_counter() - began)
        self._summary.acknowledged.append(key)

    async def _get(self, url: str) -> "_Page":
        return _Page(await self._send("GET", url))

    async def _submit(self, page: "_Page") -> "_Page":
        return _Page(await self._send("POST", page.action, data=page.form))

    async def _send(self, method: str, url: str, **content: Any) -> httpx.Response:
        """One request, tried again while the server is away or busy."""
        until = time.monotonic() + PATIENCE
        for attempt in itertools.count():
            try:
                reply = await self._browser.request(method, url, **content)
                if reply.status_code < 400:
                    return reply
                reason = f"{method} {urlsplit(url).path} was answered by {reply.status_code}"
                if reply.status_code not in (429, 503):
                    raise RunFailed(reason)
            except httpx.TransportError as error:
                reason = f"{method} {urlsplit(url).path}: {type(error).__name__}"
            if time.monotonic() > until:
                raise RunFailed(f"{reason}, for {PATIENCE:.0f} s")
            self._summary.retries += 1
            await asyncio.sleep(min(2.0, 0.1 * 2**attempt) * (0.5 + self._rng.random()))
        raise AssertionError


class _Page(HTMLParser):
    """What a participant's page asks for.

    Attributes
    ----------
    action, form
        Where the first form goes, and what it sends: hidden fields, ticked boxes, first options. Empty without one.
    trials
        The trials on the page with the attributes of their sections.
    """

    def __init__(self, reply: httpx.Response) -> None:
        super().__init__()
        self.action, self.save, self.total = "", "", 0
        self.form: dict[str, str] = {}
        self.trials: list[tuple[int, dict[str, str]]] = []
        self._address = str(reply.url)
        self._select = ""
        self.feed(reply.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Read one tag."""
        found = {key: value or "" for key, value in attrs}
        name = found.get("name", "")
        if "data-save" in found:
            self.save, self.total = urljoin(self._address, found["data-save"]), int(found["data-total"])
            self.form["csrf"] = found["data-csrf"]
        elif "data-trial" in found:
            self.trials.append((int(found["data-trial"]), found | {"questions": ""}))
        elif tag == "form" and found.get("method") == "post":
            self.action = urljoin(self._address, found.get("action", ""))
        elif tag == "select":
            self._select = name
        elif tag == "option" and found.get("value") != "" and self._select:
            self.form.setdefault(self._select, "")
        elif tag == "input":
            self._input(found["type"], name, found.get("value", ""))

    def handle_data(self, data: str) -> None:
        """The first option that is an answer."""
        if self._select and self.form.get(self._select) == "" and data.strip():
            self.form[self._select] = data.strip()
            self._select = ""

    def _input(self, kind: str, name: str, value: str) -> None:
        if kind == "radio":
            section = self.trials[-1][1]
            section["questions"] = " ".join(dict.fromkeys([*section["questions"].split(), name]))
        elif kind in {"hidden", "checkbox"}:
            self.form[name] = value
        elif kind == "text":
            self.form[name] = "1"
