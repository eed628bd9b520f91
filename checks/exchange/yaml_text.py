"""YAML in which no key stands twice: YAML itself forbids it, and its reader takes the last one silently."""

from typing import Any

import yaml

from assay.errors import AssayError


class _Loader(yaml.SafeLoader):
    """The safe loader, which makes nothing but plain values."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[str, int] = {}
        for key, _ in node.value:
            # `<<` stands for what it merges, and may stand several times.
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                continue
            line = key.start_mark.line + 1
            if key.value in seen:
                raise AssayError(
                    f"the document says {key.value!r} twice, in line {seen[key.value]} and in line {line}; keep one of them"
                )
            seen[key.value] = line
        return super().construct_mapping(node, deep=deep)


def load_yaml(text: str) -> Any:
    """The document, as YAML or JSON.

    Raises:
        AssayError: A mapping has a key twice. The message names it and both lines.
        yaml.YAMLError: This is not YAML.
    """
    return yaml.load(text, Loader=_Loader)
