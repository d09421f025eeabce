"""What is installed here of what a check can try."""

import shutil


def there(programs, only, seldom=()):
    """The names of `programs` whose program is there, but for those that are tried `seldom`, unless they are named: `only`, by commas. Then it is
    an error that one is not."""
    names = only.split(",") if only else [name for name in programs if name not in seldom]
    missing = [name for name in names if not shutil.which(programs.get(name, ""))]
    if only and missing:
        raise SystemExit(f"{', '.join(missing)}: not there")
    print("".join(f"{name}: not there, so not tried\n" for name in missing), end="", flush=True)
    return [name for name in names if name not in missing]
