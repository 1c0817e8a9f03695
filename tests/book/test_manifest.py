"""The validator against a corpus of broken manifests: each names file, key, expectation and value."""

import pytest
import yaml

from replica.book.errors import ManifestError
from replica.book.manifest import load_manifest

from .toy import MANIFEST


def write(tmp_path, text):
    path = tmp_path / "kernels" / "toy-law.yml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def changed(**changes):
    content = yaml.safe_load(MANIFEST)
    for dotted, value in changes.items():
        *parents, last = dotted.split("__")
        target = content
        for key in parents:
            target = target[key]
        if value is None:
            del target[last]
        else:
            target[last] = value
    return yaml.safe_dump(content)


def test_a_good_manifest_is_read(tmp_path):
    manifest = load_manifest(write(tmp_path, MANIFEST))
    assert manifest.claims["two"].expect.rtol == 1e-8  # YAML 1.1 would have read 1e-8 as text
    assert manifest.profiles.smoke == {"trials": 2}
    assert manifest.resources.threads == 1


BROKEN = {
    "missing title": (changed(title=None), ["title", "missing"]),
    "unknown key": (changed(tittle="x"), ["tittle", "unknown key"]),
    "year of text": (changed(year="soon"), ["year", "'soon'"]),
    "year too early": (changed(year=1700), ["year", "1700"]),
    "no authors": (changed(authors=[]), ["authors", "at least 1"]),
    "authors not a list": (changed(authors="Ada"), ["authors", "'Ada'"]),
    "bad arxiv": (changed(arxiv="arXiv:20"), ["arxiv", "arXiv:20"]),
    "bad doi": (changed(doi="doi.org/10"), ["doi", "doi.org/10"]),
    "code not an address": (changed(code="github"), ["code", "'github'"]),
    "unknown group": (changed(group="feynman"), ["group", "deweese", "'feynman'"]),
    "unknown part": (changed(part="kitchen"), ["part", "'kitchen'"]),
    "wrong folder": (changed(part="neural-circuits"), ["part", "'kernels'", "'neural-circuits'"]),
    "summary no sentence": (changed(summary="Two is two"), ["summary", "full stop"]),
    "no figures": (changed(figures={}), ["figures"]),
    "figure id in capitals": (changed(figures={"Line": yaml.safe_load(MANIFEST)["figures"]["line"]}), ["figures", "Line"]),
    "no alt text": (changed(figures__line__alt=None), ["figures.line.alt", "missing"]),
    "alt text too short": (changed(figures__line__alt="A plot."), ["figures.line.alt", "20", "'A plot.'"]),
    "no claims": (changed(claims={}), ["claims"]),
    "unknown basis": (changed(claims__two__basis="hearsay"), ["claims.two.basis", "'hearsay'"]),
    "no expectation": (changed(claims__two__expect=None), ["claims.two", "known_discrepancy"]),
    "two expectations": (changed(claims__two__expect={"equals": 1, "rtol": 0.1, "at_least": 0}), ["claims.two.expect", "one of"]),
    "equals without tolerance": (changed(claims__two__expect={"equals": 1}), ["claims.two.expect", "rtol and atol", "neither"]),
    "two tolerances": (changed(claims__two__expect={"equals": 1, "rtol": 0.1, "atol": 1}), ["claims.two.expect", "exactly one"]),
    "tolerance of a bound": (changed(claims__two__expect={"at_least": 1, "rtol": 0.1}), ["rtol goes with equals"]),
    "negative tolerance": (changed(claims__two__expect={"equals": 1, "atol": -1}), ["claims.two.expect.atol", "-1"]),
    "relative to zero": (changed(claims__two__expect={"equals": 0, "rtol": 0.1}), ["rtol is meaningless around 0"]),
    "reversed between": (changed(claims__two__expect={"between": [2, 1]}), ["low < high", "[2.0, 1.0]"]),
    "between of three": (changed(claims__two__expect={"between": [1, 2, 3]}), ["claims.two.expect.between"]),
    "holds false": (changed(claims__two__expect={"holds": False}), ["claims.two.expect.holds"]),
    "figure of a claim unknown": (changed(claims__two__figure="circle"), ["'circle'", "line"]),
    "finding without evidence": (changed(findings=[{"kind": "slip", "text": "A sign."}]), ["findings.0.evidence", "missing"]),
    "unknown kind of finding": (changed(findings=[{"kind": "joke", "text": "Ha.", "evidence": "x y"}]), ["findings.0.kind"]),
    "quick too long": (changed(resources={"quick": {"minutes": 60}}), ["resources.quick.minutes", "60"]),
    "no threads": (changed(resources={"threads": 0}), ["resources.threads", "0"]),
    "unknown profile": (changed(profiles__huge={"trials": 2}), ["profiles.huge", "unknown key"]),
    "not a mapping": ("- a\n- b\n", ["expected a mapping", "list"]),
    "empty": ("", ["expected a mapping", "NoneType"]),
    "not YAML": ("title: [", ["not valid YAML", "line"]),
    "the same key twice": (MANIFEST + "year: 2021\n", ["'year' stands twice"]),
    "a python object": ("!!python/object/apply:os.system ['true']", ["not valid YAML"]),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_manifest_is_refused_with_a_sentence(tmp_path, case):
    text, wanted = BROKEN[case]
    with pytest.raises(ManifestError) as caught:
        load_manifest(write(tmp_path, text))
    message = str(caught.value)
    for words in ["toy-law.yml", *wanted]:
        assert words in message


def test_all_faults_are_reported_at_once(tmp_path):
    with pytest.raises(ManifestError) as caught:
        load_manifest(write(tmp_path, changed(title=None, year="soon", group="feynman", claims__two__basis="hearsay")))
    assert len(str(caught.value).splitlines()) == 4


def test_no_manifest_names_the_command_that_writes_one(tmp_path):
    with pytest.raises(ManifestError, match="replica new toy-law"):
        load_manifest(tmp_path / "toy-law.yml")
