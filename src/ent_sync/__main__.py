"""`python -m ent_sync`."""

from ent_sync.cli.app import main

if __name__ == "__main__":
    main()
