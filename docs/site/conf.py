"""The site that `make docs` builds: README, the pages of `docs/` and the reference, all found by pattern."""

project = "AVadCLIP"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.apidoc", "sphinx.ext.napoleon"]
# The root of the repository is the source folder, so that links between README and pages hold as they do on GitHub.
root_doc = "README"
include_patterns = ["*.md", "docs/*.md", "docs/api/*.rst"]
html_theme = "furo"
html_title = project
html_copy_source = False

myst_heading_anchors = 6
suppress_warnings = ["ref.python"]  # a name of an attribute is looked up like a reference, and several classes have it
default_role = "code"  # docstrings put names of parameters into single backticks

apidoc_modules = [
    {"path": "../../avadclip", "destination": "docs/api", "automodule_options": ["members", "show-inheritance"]}
]
apidoc_module_first = True
napoleon_use_ivar = True  # attributes are described once, in their class
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"

CONTENTS = """
```{toctree}
:hidden:
:glob:

docs/*
docs/api/modules
[!R]*
```
"""


def setup(app) -> None:
    """README is the front page, as on GitHub, and says nothing of a table of contents; it gets a hidden one."""

    def append(_app, name: str, source: list[str]) -> None:
        if name == root_doc:
            source[0] += CONTENTS

    app.connect("source-read", append)
