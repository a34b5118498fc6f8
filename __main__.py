"""`python -m twofour`: the same commands as `twofour`."""

from .cli import main

if __name__ == "__main__":
    main()
