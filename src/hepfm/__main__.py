"""``python -m hepfm``."""

from hepfm.cli.main import main

if __name__ == "__main__":
    main()
