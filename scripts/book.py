"""What mdBook does not do by itself, so that the pages of docs/ read well in a repository and in the book.

As a preprocessor (mdBook calls it so, docs/book.toml): a paragraph that is one link with the title "included" becomes the text of that file
without its first heading, and links that leave docs/ lead to the page of the book that shows the same; what no page shows is left as text.
`check DIR`: every link of every page in DIR leads to a file, and to an anchor, that is there.
"""

import html.parser
import json
import pathlib
import posixpath
import re
import sys
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parent.parent
INCLUDED = re.compile(r'^\[[^\]]*\]\(([^)\s]+) "included"\)$', re.MULTILINE)
LINK = re.compile(r'(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)')
FENCE = re.compile(r'^(```.*?^```[^\n]*$)', re.MULTILINE | re.DOTALL)


def pages(book):
    """Which page of the book shows a file of the repository: itself, or what includes it."""
    shown = {}
    for chapter in chapters(book):
        if chapter["path"]:
            here = posixpath.join("docs", chapter["path"])
            for target in INCLUDED.findall(chapter["content"]):
                shown[resolve(here, target)] = here
    for chapter in chapters(book):
        if chapter["path"]:
            here = posixpath.join("docs", chapter["path"])
            shown[here] = here
    return shown


def chapters(book):
    waiting = list(book.get("items", book.get("sections", [])))
    while waiting:
        item = waiting.pop(0)
        if isinstance(item, dict) and "Chapter" in item:
            yield item["Chapter"]
            waiting = item["Chapter"]["sub_items"] + waiting


def resolve(here, target):
    return posixpath.normpath(posixpath.join(posixpath.dirname(here), target))


def rewrite(text, here, page, shown):
    """`text` stands in the file `here` and is shown on `page`; both are paths in the repository."""
    parts = FENCE.split(text)
    for index in range(0, len(parts), 2):
        parts[index] = LINK.sub(lambda link: moved(link, here, page, shown), parts[index])
    return "".join(parts)


def moved(link, here, page, shown):
    mark, words, target = link.groups()
    path, _, anchor = target.partition("#")
    if "://" in target or target.startswith("mailto:") or (here == page and not path):
        return link[0]
    file = resolve(here, path) if path else here
    if file in shown:
        # mdBook makes an index of each README.
        path = posixpath.relpath(re.sub(r"README\.md$", "index.md", shown[file]), posixpath.dirname(page))
    elif file.startswith("docs/") and (ROOT / file).is_file():
        path = posixpath.relpath(file, posixpath.dirname(page))
    else:
        return words
    return f"{mark}[{words}]({path}{'#' + anchor if anchor else ''})"


def preprocess():
    _, book = json.load(sys.stdin)
    shown = pages(book)
    for chapter in chapters(book):
        if not chapter["path"]:
            continue
        page = posixpath.join("docs", chapter["path"])

        def included(match):
            file = resolve(page, match[1])
            text = (ROOT / file).read_text(encoding="utf-8")
            text = re.sub(r"\A# .*\n+", "", text)
            return rewrite(text, file, page, shown).strip() + "\n"

        parts, last = [], 0
        for match in INCLUDED.finditer(chapter["content"]):
            parts.append(rewrite(chapter["content"][last : match.start()], page, page, shown))
            parts.append(included(match))
            last = match.end()
        parts.append(rewrite(chapter["content"][last:], page, page, shown))
        chapter["content"] = "".join(parts)
    json.dump(book, sys.stdout)


class Page(html.parser.HTMLParser):
    """What a page links to, and what it can be linked to by."""

    def __init__(self, text):
        super().__init__()
        self.links, self.anchors = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.anchors.update(attributes[name] for name in ("id", "name") if attributes.get(name))
        self.links += [attributes[name] for name in ("href", "src") if attributes.get(name)]


def check(folder):
    folder = pathlib.Path(folder).resolve()
    found = {path: Page(path.read_text(encoding="utf-8")) for path in folder.rglob("*.html")}
    faults, count = [], 0
    for path, page in found.items():
        if path.name in ("404.html", "toc.html", "print.html"):
            continue
        for link in page.links:
            if "://" in link or link.startswith(("mailto:", "data:", "javascript:", "//")):
                continue
            count += 1
            file, _, anchor = link.partition("#")
            target = (path.parent / urllib.parse.unquote(file.partition("?")[0])).resolve() if file else path
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file():
                faults.append(f"{path.relative_to(folder)}: {link} leads to no file")
            elif anchor and target in found and urllib.parse.unquote(anchor) not in found[target].anchors:
                faults.append(f"{path.relative_to(folder)}: {link} leads to no heading")
    print("\n".join(sorted(set(faults))) if faults else f"{len(found)} pages, {count} links, all of them lead somewhere")
    return 1 if faults or len(found) < 20 else 0


if sys.argv[1:2] == ["check"]:
    sys.exit(check(sys.argv[2]))
elif sys.argv[1:2] == ["supports"]:
    sys.exit(0)
else:
    preprocess()
