"""Which methods of a package's class a run has called.

The list comes from the installed package, so a new version with one more method fails the run until
somebody calls that too.
"""

import inspect


class Exercised:
    """`finish` turns what a method gives into what it came to: an async client's answers are awaited."""

    def __init__(self, name: str, kind: type, finish=lambda answer: answer) -> None:
        self.name, self.finish = name, finish
        members = inspect.getmembers(kind, callable)
        self.all = {name for name, _ in members if not name.startswith("_")}
        self.called: set[str] = set()

    def watch(self, target):
        """The object, which notes each method that answered. What its methods call of one another
        does not count: that goes to the object itself."""
        return Watched(self, target)

    def report(self, show) -> None:
        """Fails when the package has a method that was not called."""
        show.equal(sorted(self.all - self.called), [], f"{self.name}: methods that no area calls")
        print(f"{self.name}: {len(self.called)} of {len(self.all)} methods exercised")


class Watched:
    def __init__(self, methods: Exercised, target) -> None:
        self.methods, self.target = methods, target

    def __getattr__(self, name: str):
        value = getattr(self.target, name)
        if name not in self.methods.all:
            return value

        def call(*args, **more):
            answer = self.methods.finish(value(*args, **more))
            self.methods.called.add(name)
            return answer

        return call
