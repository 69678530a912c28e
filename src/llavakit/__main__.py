"""`python -m llavakit` is the command `llava`."""

from llavakit.cli import main

if __name__ == "__main__":
    main()
