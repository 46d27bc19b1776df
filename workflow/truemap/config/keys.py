"""Keys that a config file gives twice: YAML and JSON readers keep the last one and lose the others without a word."""

from __future__ import annotations

from pathlib import Path

import yaml

from truemap.config.schema import ConfigError

#: What YAML calls the key ``<<``: several of them lose nothing.
MERGE = "tag:yaml.org,2002:merge"


def refuse_repeated(path: str | Path) -> None:
    """Refuse a config file in which a mapping has a key twice; what a merge (``<<``) brings may be given again.

    A file that is no YAML is Snakemake's to refuse.

    Raises
    ------
    ConfigError
        With the line of the second one.
    """
    try:
        waiting, seen = [yaml.compose(Path(path).read_text(encoding="utf-8"))], set()
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return
    while waiting:
        node = waiting.pop()
        if node is None or id(node) in seen:
            continue
        # An alias is the same node again.
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            waiting += [value for _, value in node.value]
            first: dict[str, int] = {}
            for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.tag != MERGE):
                line = key.start_mark.line + 1
                if key.value in first:
                    raise ConfigError(
                        f"{path}, line {line}: '{key.value}' is there a second time (first in line {first[key.value]}) "
                        "and would replace the first. Rename one, or make them one."
                    )
                first[key.value] = line
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value
