#!/usr/bin/env python3
"""Whether ops/ fits the metrics: check_ops.py REPOSITORY

promtool checks the rules and runs their unit tests. The dashboard's expressions are checked by it as well, as rules of a file made here,
with values in place of Grafana's variables. Rules and dashboard may use only metrics that docs/metrics.md or docs/command.md names.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

METRIC = re.compile(r"\bredismutex_\w+")
# What Prometheus makes of a histogram.
OF_HISTOGRAM = re.compile(r"_(bucket|count|sum)$")


def promtool(*arguments: str) -> None:
    subprocess.run(["promtool", *arguments], check=True)


def expressions_of(dashboard: Path) -> list[str]:
    panels = json.loads(dashboard.read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


def with_values(expression: str) -> str:
    return re.sub(r"\$\w+", lambda variable: "5m" if variable[0] == "$__rate_interval" else ".*", expression)


def check_expressions(expressions: list[str]) -> None:
    rules = [{"record": f"checked:{number}", "expr": with_values(text)} for number, text in enumerate(expressions)]
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        json.dump({"groups": [{"name": "dashboard", "rules": rules}]}, file)  # JSON is YAML
        file.flush()
        promtool("check", "rules", file.name)


def documented(root: Path) -> set[str]:
    text = "".join((root / "docs" / page).read_text() for page in ("metrics.md", "command.md"))
    return set(METRIC.findall(text))


def main() -> None:
    root = Path(sys.argv[1])
    rules = root / "ops" / "redismutex.rules.yml"
    promtool("check", "rules", str(rules))
    promtool("test", "rules", str(root / "tests" / "metrics" / "rules_test.yml"))
    expressions = expressions_of(root / "ops" / "dashboard.json")
    check_expressions(expressions)
    used = METRIC.findall(rules.read_text()) + [name for text in expressions for name in METRIC.findall(text)]
    known = documented(root)
    unknown = sorted({name for name in used if name not in known and OF_HISTOGRAM.sub("", name) not in known})
    if unknown:
        sys.exit(f"not in docs/metrics.md, nor in docs/command.md: {', '.join(unknown)}")
    print(f"{len(expressions)} expressions of the dashboard, {len(set(used))} metrics")


if __name__ == "__main__":
    main()
