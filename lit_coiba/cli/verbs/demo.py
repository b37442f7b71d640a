"""The verb ``demo``: a typed function without a Trainer of the user's."""

from __future__ import annotations

from docstring_parser import parse
from jsonargparse import ArgumentParser

from lit_coiba.cli.pages.page import Page, parameters
from lit_coiba.demo import demo


def run_demo(args: list[str]) -> int:
    """Run the demo with its arguments from the command line; its exit status."""
    if {"-h", "--help"} & set(args):
        text = parse(demo.__doc__ or "")
        page = Page("demo [--KEY VALUE ...]", f"{text.short_description} {text.long_description or ''}")
        page.keys("run", parameters(demo))
        print(page)
        return 0
    parser = ArgumentParser(prog="lit-coiba demo", exit_on_error=False, allow_abbrev=False)
    parser.add_function_arguments(demo, as_group=False)
    try:
        arguments = parser.parse_args(args)
    except Exception as error:
        from lit_coiba.cli.parsing.messages import parsing_message
        from lit_coiba.core.errors import InputError

        raise InputError(parsing_message(error, list(parser.get_defaults().keys()), [])) from error
    return demo(**arguments.as_dict())
