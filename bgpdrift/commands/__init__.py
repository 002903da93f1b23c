"""One module a command of `bgpdrift`, loaded only when that command runs. Parse, build, call, print, return."""
