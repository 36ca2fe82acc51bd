"""What the documents and examples say is so: manifests, fields, reasons, links and commands."""

import ast
import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from enginebench.api.loadplan import DatasetPlan
from enginebench.api.v1alpha1 import BenchmarkRun
from enginebench.cluster import labels
from enginebench.loadgen import dataset
from enginebench.workflow import reasons
from enginebench.workflow.rules import model_download
from scripts import make_prompts, make_reference

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
CRD = yaml.safe_load(make_reference.CRD.read_text("utf-8"))
SCHEMA = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def blocks(page: Path, language: str) -> Iterator[str]:
    """The fenced blocks of a language."""
    return iter(re.findall(rf"^```{language}\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE))


def manifests() -> Iterator[Any]:
    sources = [(page, text) for page in PAGES for text in blocks(page, "yaml")]
    sources += [(path, path.read_text("utf-8")) for path in EXAMPLES]
    for path, text in sources:
        for document in yaml.safe_load_all(text):
            name = f"{path.relative_to(ROOT)}: {document['kind']} {document['metadata']['name']}"
            yield pytest.param(document, id=name)


def unknown(document: Any, schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """Paths in the document that the schema has no field for."""
    if isinstance(document, list):
        for member in document:
            yield from unknown(member, schema["items"], f"{path}[]")
    elif isinstance(document, dict) and "properties" in schema:
        for name, value in document.items():
            if name not in schema["properties"]:
                yield f"{path}.{name}"
            else:
                yield from unknown(value, schema["properties"][name], f"{path}.{name}")


@pytest.mark.parametrize("document", list(manifests()))
def test_manifest_is_valid(document: dict[str, Any], tmp_path: Path) -> None:
    if document["kind"] == "ConfigMap":
        texts = [text.encode() for text in document.get("data", {}).values()]
        texts += [base64.b64decode(text) for text in document.get("binaryData", {}).values()]
        assert texts
        for text in texts:
            (tmp_path / "rows").write_bytes(text)
            rows, report = dataset.read(DatasetPlan(file=str(tmp_path / "rows")), chat=True)
            assert rows
            assert not report.errors
        return
    if document["kind"] == "NetworkPolicy":
        words = set(re.findall(r"enginebench[.]dev/role': '(\w+)'", str(document["spec"])))
        assert words <= set(labels.ROLE_WORD.values())
        return
    assert document["kind"] == "BenchmarkRun"
    BenchmarkRun.model_validate_json(json.dumps(document))
    assert list(unknown({"spec": document["spec"]}, SCHEMA)) == []


def test_unknown_field_is_found() -> None:
    document = {"spec": {"targets": [{"name": "a", "vllm": {"mode": "x"}}], "load": 1}}
    assert list(unknown(document, SCHEMA)) == [".spec.targets[].vllm.mode", ".spec.load"]


def test_simulated_examples_say_so() -> None:
    for path in EXAMPLES:
        text = path.read_text("utf-8")
        assert ("simulated:" in text) == ("SIMULATED" in text), path.name


def test_table_of_fields_is_up_to_date() -> None:
    text = make_reference.PAGE.read_text("utf-8")
    assert make_reference.page(text, CRD) == text, "run python scripts/make_reference.py"


def literals(folder: str, call: str) -> set[str]:
    """First arguments of all calls of `call`, where they are literal texts."""
    found = set()
    for path in (ROOT / "operator/enginebench" / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == call:
                arguments = [*node.args[:1], *(word.value for word in node.keywords if word.arg == "reason")]
                found |= {a.value for a in arguments if isinstance(a, ast.Constant) and isinstance(a.value, str)}
    return found


def test_every_failure_has_its_line() -> None:
    reasons = literals("workflow", "Problem") | literals("loadgen", "GaveUp") | literals("loadgen", "Fault")
    reasons |= literals("fetcher", "GaveUp")
    reasons |= model_download.REASONS
    assert {"Unschedulable", "EngineNotReady", "ModelCorrupt"} <= reasons
    text = (ROOT / "docs/failures.md").read_text("utf-8")
    assert sorted(reason for reason in reasons if f"`{reason}`" not in text) == []


def test_every_reason_of_a_point_has_its_line_and_its_paragraph() -> None:
    text = (ROOT / "docs/measurement.md").read_text("utf-8")
    invalid = (*reasons.INVALID, reasons.NOT_IN_FORCE)
    levels = ((invalid, "Invalid"), (reasons.LIMITED, "Limited"), (reasons.REMARKS, "(any)"))
    told = re.findall(r"^\| `(\w+)` \| (\S+) \|", text, re.MULTILINE)
    assert sorted(told) == sorted((word, level) for table, level in levels for word in table)
    assert re.findall(r"^### `(\w+)`$", text, re.MULTILINE) == [word for word, _ in told]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    local = [link for link in links if not link.startswith("https://")]
    assert [link for link in local if not (page.parent / link).exists()] == []


def test_commands_exist() -> None:
    known = set(re.findall(r"^([a-z][-a-z]*):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for page in PAGES:
        said = set(re.findall(r"(?:^|`)make ([a-z][-a-z]*)", page.read_text("utf-8"), re.MULTILINE))
        assert said <= known, page.name


def test_prompts_are_what_the_script_makes() -> None:
    made = make_prompts.pairs(yaml.safe_load(make_prompts.SUBJECTS.read_text("utf-8")))
    stored = [json.loads(line) for line in make_prompts.PAIRS.read_text("utf-8").splitlines()]
    assert [(row["prompt"], row["response"]) for row in stored] == [tuple(pair) for pair in made]
    data = list(yaml.safe_load_all(make_prompts.EXAMPLE.read_text("utf-8")))[1]["data"]["prompts.jsonl"]
    sent = [json.loads(line) for line in data.splitlines()]
    assert sent == [{name: row[name] for name in row if name != "response"} for row in stored]


def test_prompts_fit_the_experiment() -> None:
    rows = [json.loads(line) for line in make_prompts.PAIRS.read_text("utf-8").splitlines()]
    assert 100 <= len(rows) <= 200
    assert len({row["prompt"] for row in rows}) == len(rows)
    for row in rows:
        # A token is a byte at least and, in English, rarely more than a long word.
        for text, count in (("prompt", "prompt_tokens_count"), ("response", "output_tokens_count")):
            assert len(row[text].split()) * 0.8 <= row[count] <= min(256, len(row[text].encode()))
