"""``python -m lit_coiba`` is the command ``lit-coiba``."""

from lit_coiba.cli import run

if __name__ == "__main__":
    run()
