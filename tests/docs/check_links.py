#!/usr/bin/env python3
"""Whether the links in the Markdown pages lead somewhere: check_links.py REPOSITORY

A link to a file has to name one that is there, and a link to a heading one that the page has, written as GitHub makes its anchors.
Links elsewhere are looked at only for https. Every page has to be reachable from README.md. Prints what is wrong, one a line.
"""

import re
import sys
from pathlib import Path

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
NO_TEXT = re.compile(r"^```.*?^```$|<!--.*?-->", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`]*`")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
BUILT = {"build", ".deps", ".git"}


def pages_of(root: Path) -> dict[Path, str]:
    """The pages, without blocks of code and comments."""
    found = [path for path in root.rglob("*.md") if not BUILT & set(path.relative_to(root).parts)]
    return {path.resolve(): NO_TEXT.sub("", path.read_text()) for path in found}


def anchors_of(text: str) -> set[str]:
    anchors: list[str] = []
    for heading in HEADING.findall(text):
        words = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        same = sum(other == words or re.fullmatch(re.escape(words) + r"-\d+", other) is not None for other in anchors)
        anchors.append(f"{words}-{same}" if same else words)
    return set(anchors)


def problem_with(link: str, page: Path, pages: dict[Path, str]) -> str | None:
    if "://" in link:
        return None if link.startswith("https://") else "neither https nor a file"
    name, _, anchor = link.partition("#")
    target = (page.parent / name).resolve() if name else page
    if not target.exists():
        return "no such file"
    if anchor and (target not in pages or anchor not in anchors_of(pages[target])):
        return "no such heading"
    return None


def main() -> None:
    root = Path(sys.argv[1]).resolve()
    pages = pages_of(root)
    links = {page: LINK.findall(CODE.sub("", text)) for page, text in pages.items()}
    wrong = [
        f"{page.relative_to(root)}: {link}: {problem}"
        for page in pages
        for link in links[page]
        if (problem := problem_with(link, page, pages))
    ]
    reached, todo = set(), [root / "README.md"]
    while todo:
        page = todo.pop()
        if page in reached or page not in pages:
            continue
        reached.add(page)
        todo += [(page.parent / link.partition("#")[0]).resolve() for link in links[page] if "://" not in link]
    wrong += [f"{page.relative_to(root)}: not to be reached from README.md" for page in pages if page not in reached]
    print("\n".join(sorted(wrong)) or f"{sum(map(len, links.values()))} links in {len(pages)} pages are right")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
