"""Markup, styles and scripts of the page. A package of its own, so that only the stage that writes the page depends on
them."""
