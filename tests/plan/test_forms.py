# ruff: noqa: E501
"""Made-up packages: each edit that changes what a script prints must change its record, whatever the form of the code.

The edits are run: that one changes what is printed is seen, not believed.
"""

import subprocess
import sys

import pytest

from truemap.plan.code import Code

#: Name -> files, edits that change what is printed, and edits that do not and are not to count.
CASES: dict[str, tuple[dict[str, str], list[tuple[str, str, str]], list[tuple[str, str, str]]]] = {}


def case(name: str, script: str, edits: dict[str, str], quiet: dict[str, str] | None = None, **files: str) -> None:
    """Add a case; an edit is ``file: "old -> new"``, several of a file are separated by ``|``."""

    def split(each: dict[str, str]) -> list[tuple[str, str, str]]:
        return [(file, *part.split(" -> ")) for file, parts in each.items() for part in parts.split(" | ")]

    files = {key.replace("__", "/").replace("/init/", "__init__"): text for key, text in files.items()}
    CASES[name] = ({"script": script, **files}, split(edits), split(quiet or {}))


case(
    "a helper's helper",
    "from pkg.a import f\nprint(f())",
    {"a": "1 -> 7 | g() -> g() + 0.5"},
    {"a": "2 -> 8"},
    a="def f():\n    return g()\ndef g():\n    return 1\ndef h():\n    return 2\n",
)
case(
    "a constant of one of two functions",
    "from pkg.a import f\nprint(f())",
    {"a": "LEFT = 1 -> LEFT = 3"},
    {"a": "RIGHT = 2 -> RIGHT = 4"},
    a="LEFT = 1\nRIGHT = 2\ndef f():\n    return LEFT\ndef g():\n    return RIGHT\n",
)
case(
    "a name that is bound several times",
    "from pkg.a import f\nprint(f())",
    {"a": "X * 2 -> X * 3 | X = 1 -> X = 5"},
    a="X = 1\nX = X * 2\ndef f():\n    return X\n",
)
case(
    "a function that replaces another",
    "from pkg.a import f\nprint(f())",
    {"a": "return 2 -> return 3 | old = f -> old = lambda: 9"},
    a="def f():\n    return 1\nold = f\ndef f():\n    return 2 + old()\n",
)
case(
    "the order of two that replace each other",
    "from pkg.a import f\nprint(f())",
    {"a": "return 1\ndef f():\n    return 2 -> return 2\ndef f():\n    return 1"},
    a="def f():\n    return 1\ndef f():\n    return 2\n",
)
case(
    "the order beside a builtin's name",
    "from pkg.a import f\nprint(f())",
    {"a": "Y = len\ndef len(x):\n    return 7 -> def len(x):\n    return 7\nY = len"},
    a="Y = len\ndef len(x):\n    return 7\ndef f():\n    return Y([])\n",
)
case(
    "the order of definitions",
    "from pkg.a import f\nprint(f())",
    {"a": "1 -> 2"},
    {"a": "def f():\n    return g()\ndef g():\n    return 1 -> def g():\n    return 1\ndef f():\n    return g()"},
    a="def f():\n    return g()\ndef g():\n    return 1\n",
)
case(
    "tuple and starred assignments",
    "from pkg.a import f\nprint(f())",
    {"a": "1, 2, 3 -> 1, 5, 3 | [4] -> [5]"},
    a="x, (y, *z) = 0, (1, 2, 3)\nfirst = second = [4]\ndef f():\n    return z, first\n",
)
case(
    "an assignment inside an expression",
    "from pkg.a import f\nprint(f())",
    {"a": "3 -> 4"},
    a="x = (y := 3) + 1\ndef f():\n    return y\n",
)
case(
    "import as",
    "from pkg.a import f as g\nprint(g())",
    {"a": "1 -> 2 | h as k -> i as k", "b": "10 -> 12"},
    {"b": "20 -> 22"},
    a="from pkg.b import h as k\ndef f():\n    return k() + 1\n",
    b="def h():\n    return 10\ndef i():\n    return 20\n",
)
case(
    "two imports that change places",
    "from pkg.a import f\nprint(f())",
    {"a": "import h, i -> import h as i, i as h"},
    a="from pkg.b import h, i\ndef f():\n    return h() + 2 * i()\n",
    b="def h():\n    return 10\ndef i():\n    return 20\n",
)
case(
    "another package's import",
    "from pkg.a import f\nprint(f(4))",
    {"a": "sqrt as -> exp as"},
    {"a": "from json import loads -> from json import dumps as loads"},
    a="from math import sqrt as root\nfrom json import loads\ndef f(x):\n    return root(x)\ndef g(x):\n"
    "    return loads(x)\n",
)
case(
    "an attribute of a module",
    "from pkg import a\nprint(a.f())",
    {"a": "1 -> 2"},
    {"a": "3 -> 4"},
    a="def f():\n    return 1\ndef g():\n    return 3\n",
)
case(
    "a module's module",
    "from pkg import a\nprint(a.b.f())",
    {"b": "1 -> 2"},
    {"b": "3 -> 4", "a": "5 -> 6"},
    a="from pkg import b\ndef other():\n    return 5\n",
    b="def f():\n    return 1\ndef g():\n    return 3\n",
)
case(
    "a module that is passed on",
    "from pkg import a\nfor name in ('f', 'g'):\n    print(getattr(a, name)())",
    {"a": "1 -> 2 | 3 -> 4"},
    a="def f():\n    return 1\ndef g():\n    return 3\n",
)
case(
    "a module in a variable",
    "from pkg import a\ntools = [a]\nprint(tools[0].f())",
    {"a": "1 -> 2", "b": "3 -> 4"},
    a="from pkg.b import g\ndef f():\n    return 1 + g()\n",
    b="def g():\n    return 3\n",
)
case(
    "what a module that is passed on has from others",
    "from pkg import a\nprint(vars(a)['g']())",
    {"b": "3 -> 4"},
    a="if True:\n    from pkg.b import g\n",
    b="def g():\n    return 3\n",
)
case(
    "import of a whole path",
    "import pkg.sub.a\nprint(pkg.sub.a.f())",
    {"sub/a": "1 -> 2"},
    {"sub/a": "3 -> 4"},
    sub____init__="",
    sub__a="def f():\n    return 1\ndef g():\n    return 3\n",
)
case(
    "a package that is passed on",
    "import pkg.sub.a\nwhole = pkg\nprint(whole.sub.a.f())",
    {"sub/a": "1 -> 2"},
    sub____init__="",
    sub__a="def f():\n    return 1\n",
)
case(
    "relative imports",
    "from pkg.sub.a import f\nprint(f())",
    {"sub/b": "1 -> 2", "c": "3 -> 4", "sub/d": "5 -> 6"},
    {"c": "7 -> 8"},
    sub____init__="",
    sub__a="from .b import g\nfrom ..c import h\nfrom . import d\nfrom .. import c\ndef f():\n"
    "    return g() + h() + d.k() + c.h()\n",
    sub__b="def g():\n    return 1\n",
    sub__d="def k():\n    return 5\n",
    c="def h():\n    return 3\ndef unused():\n    return 7\n",
)
case(
    "relative imports in a package's file",
    "from pkg.sub import f\nprint(f())",
    {"sub/b": "1 -> 2", "c": "3 -> 4"},
    sub____init__="from .b import g\nfrom ..c import h\ndef f():\n    return g() + h()\n",
    sub__b="def g():\n    return 1\n",
    c="def h():\n    return 3\n",
)
case(
    "import of everything",
    "from pkg.a import f\nprint(f())",
    {"b": "1 -> 2 | ['g', 'len'] -> ['g'] | 40 -> 41"},
    a="from pkg.b import *\ndef f():\n    return g(), len([])\n",
    b="__all__ = ['g', 'len']\ndef g():\n    return 1\ndef len(x):\n    return 40\n",
)
case(
    "what another module imported everything of",
    "from pkg import a\nprint(a.g())",
    {"b": "1 -> 2"},
    a="from pkg.b import *\n",
    b="def g():\n    return 1\n",
)
case(
    "an import inside a function",
    "from pkg.a import f\nprint(f())",
    {"b": "1 -> 2", "c": "3 -> 4"},
    {"b": "5 -> 6"},
    a="def f():\n    from pkg.b import g as h\n    import pkg.c as k\n    return h() + k.l()\n",
    b="def g():\n    return 1\ndef unused():\n    return 5\n",
    c="def l():\n    return 3\n",
)
case(
    "an import inside a function that is global",
    "from pkg.a import f, start\nstart()\nprint(f())",
    {"b": "1 -> 2", "a": "COUNT = 7 -> COUNT = 8"},
    a="def start():\n    global b, COUNT\n    from pkg import b\n    COUNT = 7\ndef f():\n    return b.g() + COUNT\n",
    b="def g():\n    return 1\n",
)
case(
    "an import for types that is evaluated",
    "from pkg.a import A\nimport typing, pkg.b\nprint(typing.get_type_hints(A, vars(pkg.b))['x'].value)",
    {"b": "1 -> 2"},
    a="from __future__ import annotations\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n"
    "    from pkg.b import B\nclass A:\n    x: B\n",
    b="class B:\n    value = 1\n",
)
case(
    "names re-exported",
    "from pkg.a import f\nfrom pkg import a\nprint(f(), a.h())",
    {"b": "1 -> 2 | 3 -> 4", "a": "i as h -> j as h"},
    {"b": "5 -> 6"},
    a="from pkg.b import f, i as h\n",
    b="def f():\n    return 1\ndef i():\n    return 3\ndef j():\n    return 13\ndef unused():\n    return 5\n",
)
case(
    "decorators, defaults and annotations",
    "from pkg.a import f\nprint(f())",
    {"a": "1 -> 2 | 3 -> 4 | 5 -> 6 | LIMIT = 7 -> LIMIT = 9"},
    a="import typing\nLIMIT = 7\ndef twice(f):\n    return lambda: f() * 1\nDEFAULT = 3\nclass Kind:\n    value = 5\n"
    "def g(x: Kind, y: 'LIMIT' = 0):\n    pass\n"
    "@twice\ndef f(x=DEFAULT):\n    hints = g.__annotations__\n"
    "    return x + hints['x'].value + eval_free(hints['y'])\n"
    "def eval_free(name):\n    return LIMIT\n",
)
case(
    "annotations in texts",
    "from pkg.a import A\nimport typing\nprint(typing.get_args(typing.get_type_hints(A)['x'])[0].value)",
    {"a": "1 -> 2"},
    a="class A:\n    x: 'list[B]'\nclass B:\n    value = 1\n",
)
case(
    "base classes and class bodies",
    "from pkg.a import A\nprint(A().f(), A.x)",
    {"a": "1 -> 2 | 3 -> 4 | 5 -> 6", "b": "7 -> 8"},
    {"b": "9 -> 10"},
    a="from pkg import b\nclass Base(b.Root):\n    def f(self):\n        return self.g() + 1\nVALUE = 3\n"
    "class A(Base):\n    x = VALUE\n    def g(self):\n        return self.h() + 5\n",
    b="class Root:\n    def h(self):\n        return 7\nclass Other:\n    x = 9\n",
)
case(
    "globals",
    "from pkg.a import f\nprint(f('g'))",
    {"a": "1 -> 2", "b": "3 -> 4"},
    a="from pkg import b\ndef f(name):\n    return globals()[name]() + globals()['b'].h()\ndef g():\n    return 1\n",
    b="def h():\n    return 3\n",
)
case(
    "a module's own names in a variable",
    "from pkg.a import f\nprint(f('g'))",
    {"a": "1 -> 2"},
    a="OWN = vars()\ndef f(name):\n    return OWN[name]()\ndef g():\n    return 1\n",
)
case(
    "eval and exec",
    "from pkg.a import f, h\nprint(f('g' + '()'), h())",
    {"a": "1 -> 2", "b": "3 -> 4"},
    a="def f(text):\n    return eval(text)\ndef g():\n    return 1\ndef h():\n    names = {}\n"
    "    exec('from pkg.b import ' + 'k', names)\n    return names['k']()\n",
    b="def k():\n    return 3\n",
)
case(
    "importlib",
    "from pkg.a import f\nprint(f('b'))",
    {"b": "3 -> 4"},
    a="from importlib import import_module as load\ndef f(name):\n    return load('pkg.' + name).k()\n",
    b="def k():\n    return 3\n",
)
case(
    "a module by its name as a text",
    "from pkg.a import f\nprint(f('pkg.b'))",
    {"b": "3 -> 4"},
    a="import sys, pkg.b\ndef f(name):\n    return sys.modules[name].k()\n",
    b="def k():\n    return 3\n",
)
case(
    "subclasses that nobody mentions",
    "from pkg.a import f\nimport pkg.b\nprint(f())",
    {"b": "3 -> 4"},
    a="class Base:\n    pass\ndef f():\n    return [each.value for each in Base.__subclasses__()]\n",
    b="from pkg.a import Base\nclass Hidden(Base):\n    value = 3\n",
)
case(
    "a base that notes its subclasses",
    "from pkg.a import KNOWN\nimport pkg.b\nprint([each.value for each in KNOWN])",
    {"b": "3 -> 4", "a": "append -> extend([cls, cls]) or KNOWN.append"},
    a="KNOWN = []\nclass Base:\n    def __init_subclass__(cls):\n        KNOWN.append(cls)\n",
    b="from pkg.a import Base\nclass Hidden(Base):\n    value = 3\n",
)
case(
    "a metaclass that does",
    "from pkg.a import KNOWN\nimport pkg.b\nprint([each.value for each in KNOWN])",
    {"b": "3 -> 4"},
    a="KNOWN = []\nclass Meta(type):\n    def __init__(cls, *rest):\n        KNOWN.append(cls)\n"
    "class Base(metaclass=Meta):\n    value = 0\n",
    b="from pkg.a import Base\nclass Hidden(Base):\n    value = 3\n",
)
case(
    "a decorator that registers",
    "from pkg.a import KNOWN\nimport pkg.b\nprint(KNOWN[0]())",
    {"b": "3 -> 4"},
    a="KNOWN = []\ndef note(f):\n    KNOWN.append(f)\n    return f\n",
    b="from pkg.a import note\n@note\ndef hidden():\n    return 3\n",
)
case(
    "a call that registers",
    "from pkg.a import KNOWN\nimport pkg.b\nprint(KNOWN)",
    {"b": "3 -> 4", "a": "append(x) -> append(x * 2)"},
    a="KNOWN = []\ndef note(x):\n    KNOWN.append(x)\n",
    b="from pkg.a import note\nx = note(3)\n",
)
case(
    "an operator that registers",
    "from pkg.a import KNOWN\nimport pkg.b\nprint(KNOWN)",
    {"b": "3 -> 4"},
    a="KNOWN = []\nclass Register:\n    def __add__(self, x):\n        KNOWN.append(x)\n        return self\n"
    "register = Register()\n",
    b="from pkg import a\nkept = a.register + 3\n",
)
case(
    "a module's attribute is set by another",
    "from pkg.a import f\nimport pkg.b\nprint(f())",
    {"b": "3 -> 4"},
    a="def f():\n    return g()\ndef g():\n    return 1\n",
    b="from pkg import a\ndef better():\n    return 3\na.g = better\n",
)
case(
    "one is set in a function",
    "from pkg.a import f\nfrom pkg.b import change\nchange()\nprint(f())",
    {"b": "3 -> 4"},
    a="def f():\n    return g()\ndef g():\n    return 1\n",
    b="from pkg import a\ndef better():\n    return 3\ndef change():\n    a.g = better\n",
)
case(
    "one is set that was not there",
    "from pkg import a\nimport pkg.b\nprint(a.g())",
    {"b": "3 -> 4"},
    a="",
    b="from pkg import a\ndef better():\n    return 3\nsetattr(a, 'g', better)\n",
)
case(
    "a list of another module is added to",
    "from pkg.a import f\nimport pkg.b\nprint(f())",
    {"b": "[3] -> [4] | [5] -> [6]"},
    a="ALL = [1]\nTABLE = {}\ndef f():\n    return ALL, TABLE\n",
    b="from pkg.a import ALL, TABLE\nALL += [3]\nTABLE['x'] = [5]\n",
)
case(
    "__getattr__ of a module",
    "from pkg import a\nfrom pkg.a import shown\nprint(a.anything, shown)",
    {"a": "1 -> 2 | 3 -> 4"},
    a="def __getattr__(name):\n    return g() + 1\ndef g():\n    return 3\n",
)
case(
    "__init__ with code",
    "from pkg.sub.a import f\nprint(f())",
    {"sub/__init__": "1 -> 2"},
    {"sub/__init__": "3 -> 4"},
    sub____init__="import os\nos.environ['X'] = '1'\ndef unused():\n    return 3\n",
    sub__a="import os\ndef f():\n    return os.environ['X']\n",
)
case(
    "conditional definitions",
    "from pkg.a import f, g, h, k\nprint(f(), g(), h, k())",
    {"a": "1 -> 2 | 3 -> 4 | 5 -> 6 | > 2 -> > 200", "b": "7 -> 8"},
    a="import sys, contextlib\nif sys.version_info[0] > 2:\n    def f():\n        return 1\nelse:\n"
    "    def f():\n        return 0\n"
    "try:\n    def g():\n        return 3\nexcept Exception:\n    pass\n"
    "with contextlib.suppress(ValueError):\n    for h in range(5):\n        pass\n"
    "try:\n    from pkg.none import k\nexcept ImportError:\n    from pkg.b import k\n",
    b="def k():\n    return 7\n",
)
case(
    "a name of a handler, a loop and a pattern",
    "from pkg.a import f\nprint(f())",
    {"a": "1 -> 2 | 3 -> 4"},
    a="match [1, 5]:\n    case [x, *rest]:\n        pass\nfor y in [3]:\n    pass\ndef f():\n    return x, y, rest\n",
)
case(
    "statements at import",
    "import pkg.a\nimport os\nprint(os.environ['X'], os.environ['Y'])",
    {"a": "1 -> 2", "b": "3 -> 4 | str(x) -> str(x) + '!'"},
    {"a": "5 -> 6"},
    a="import os\nfrom pkg import b\nos.environ['X'] = '1'\nb.put(os, 9)\ndef unused():\n    return 5\n",
    b="def put(os, x):\n    os.environ['Y'] = str(x)\nLOADED = [print(3)]\n",
)
case(
    "an import for what it does",
    "import pkg.a",
    {"a": "import this -> import json"},
    {"a": "import json -> import math as json"},
    a="import this\nimport json\ndef unused():\n    return json\n",
)
case(
    "all of sys",
    "from pkg.a import f\nimport sys\nprint(f('gkp'[::-1] + '.b', sys))",
    {"b": "3 -> 4"},
    a="import pkg.b\ndef f(name, kept):\n    return getattr(kept, 'modules')[name].k()\n",
    b="def k():\n    return 3\n",
)
case(
    "import of everything, on a condition",
    "from pkg.a import f\nprint(f())",
    {"b": "1 -> 2"},
    a="try:\n    from pkg.b import *\nexcept ImportError:\n    pass\ndef f():\n    return g()\n",
    b="def g():\n    return 1\n",
)
case(
    "a callback, a closure and a partial",
    "from pkg.a import f\nprint(f())",
    {"a": "1 -> 2 | 3 -> 4 | 5 -> 6"},
    a="from functools import partial\ndef one():\n    return 1\ndef two(x):\n    return x + 3\ndef three():\n"
    "    return lambda: FIVE\nFIVE = 5\n"
    "def f():\n    return sum(g() for g in (one, partial(two, 0), three()))\n",
)
case(
    "modules that import each other",
    "from pkg.a import f\nprint(f(3))",
    {"a": "1 -> 2", "b": "5 -> 6"},
    a="from pkg import b\ndef f(n):\n    return b.g(n - 1) if n else 1\n",
    b="from pkg import a\ndef g(n):\n    return a.f(n - 1) if n else 5\n",
)
case(
    "a text of no docstring",
    "from pkg.a import f\nprint(f())",
    {"a": "'two' -> 'three'"},
    {"a": "'''One.''' -> '''Another.''' | # why -> # because"},
    a="'''One.'''\ndef f():\n    '''One.'''\n    # why\n    return 'two'\n",
)
case(
    "a file beside a folder of its name",
    "from pkg.a import f\nprint(f())",
    {"a": "1 -> 2"},
    a="def f():\n    return 1\n",
    a__notes="",
)
case(
    "from __future__",
    "from pkg.a import f\nprint(f.__annotations__)",
    {"a": "from __future__ import annotations -> "},
    a="from __future__ import annotations\ndef f(x: int):\n    pass\n",
)


case(
    "a decorator with a harmless one's name",
    "from pkg.a import KNOWN\nimport pkg.b\nprint(KNOWN[0]())",
    {"b": "3 -> 4"},
    a="KNOWN = []\ndef cache(f):\n    KNOWN.append(f)\n    return f\n",
    b="from pkg.a import cache\n@cache\ndef hidden():\n    return 3\n",
)
case(
    "a method with a harmless one's name",
    "from pkg.a import KNOWN\nimport pkg.b\nprint(KNOWN)",
    {"b": "3 -> 4"},
    a="KNOWN = []\nclass Table:\n    def join(self, x):\n        KNOWN.append(x)\ntable = Table()\n",
    b="from pkg.a import table\nhidden = table.join(3)\n",
)
case(
    "a function that something harmless calls",
    "from pkg.a import KNOWN\nimport pkg.b\nprint(KNOWN)",
    {"b": "[3] -> [4] | [5, 6] -> [6, 5]"},
    a="KNOWN = []\n",
    b="from pkg.a import KNOWN\ndef note(x):\n    KNOWN.append(x)\n    return x\nhidden = list(map(KNOWN.append, [3]))\n"
    "ordered = sorted([5, 6], key=lambda x: note(x))\n",
)
case(
    "a call in an annotation",
    "from pkg.a import KNOWN\nimport pkg.b\nprint(KNOWN)",
    {"b": "3 -> 4 | 5 -> 6 | 7 -> 8"},
    a="KNOWN = []\ndef note(x):\n    KNOWN.append(x)\n    return x\n",
    b="from pkg.a import note\ndef hidden(x: note(3)):\n    pass\nclass A:\n    x: note(5)\ny: note(7) = 0\n",
)
case(
    "the dictionary of a module",
    "from pkg import a\nprint(a.__dict__['f']())",
    {"a": "1 -> 2"},
    a="def f():\n    return 1\n",
)
case(
    "subclasses of a value",
    "from pkg.a import f\nimport pkg.b\nprint(f())",
    {"b": "3 -> 4"},
    a="class Base:\n    pass\ndef f():\n    return [each.value for each in [Base][0].__subclasses__()]\n",
    b="from pkg.a import Base\nclass Hidden(Base):\n    value = 3\n",
)
case(
    "a builtin's name from an import of everything",
    "from pkg.a import f\nprint(f())",
    {"b": "40 -> 41"},
    a="from pkg.b import *\ndef f():\n    return len([])\n",
    b="def len(x):\n    return 40\n",
)
case(
    "the order of a definition and of what runs",
    "from pkg.a import f\nprint(f())",
    {"a": "use(X)\nX = [2] -> X = [2]\nuse(X)"},
    a="import os\nX = [1]\ndef use(x):\n    os.environ['X'] = str(x)\nuse(X)\nX = [2]\ndef f():\n"
    "    return os.environ['X'], X\n",
)
case(
    "an item of a class that notes it",
    "from pkg.a import KNOWN\nimport pkg.b\nprint(KNOWN)",
    {"b": "3 -> 4"},
    a="KNOWN = []\nclass Base:\n    def __class_getitem__(cls, x):\n        KNOWN.append(x)\n        return cls\n",
    b="from pkg.a import Base\nhidden = Base[3]\n",
)
case(
    "a text in a function of types",
    "import typing\nfrom pkg.a import A\nprint(A.__annotations__['x'].__args__[0].__forward_arg__, A.f())",
    {
        "a": "'B' -> 'C'",
    },
    a="import typing\nclass A:\n    x: typing.Optional['B'] = None\n    def f():\n        return 1\nclass B:\n    pass\nclass C:\n    pass\n",
)
case(
    "a change of a value by another file",
    "from pkg.a import f\nfrom pkg.b import g\nprint(f(), g(), f())",
    {"b": "append(3) -> append(4)", "a": "[1] -> [2]"},
    a="KEPT = [1]\ndef f():\n    return list(KEPT)\n",
    b="from pkg import a as other\ndef g():\n    kept = other.KEPT\n    kept.append(3)\n",
)


@pytest.fixture
def variant(tmp_path):
    """Write a package and a script, edited or not; return what the script prints, and its record."""
    count = iter(range(1000))

    def run(files: dict[str, str], edit: tuple[str, str, str] | None = None) -> tuple[str, list[str]]:
        root = tmp_path / str(next(count))
        (root / "pkg").mkdir(parents=True)
        for name, text in files.items():
            path = root / "script.py" if name == "script" else root / "pkg" / f"{name}.py"
            path.parent.mkdir(exist_ok=True)
            if edit and name == edit[0]:
                assert text.count(edit[1]) >= 1, f"{name} has no {edit[1]!r}"
                text = text.replace(edit[1], edit[2], 1)
            path.write_text(text)
        done = subprocess.run(
            [sys.executable, "-S", "script.py"], cwd=root, capture_output=True, text=True, env={"PYTHONPATH": "."}
        )
        assert done.returncode == 0 or edit, done.stderr
        found = Code({"pkg": root / "pkg"}).of_script(root / "script.py").values()
        return done.stdout, sorted(value.removeprefix(f"{root}/") for value in found)

    return run


@pytest.mark.parametrize("name", CASES)
def test_what_changes_a_scripts_output_changes_its_record(variant, name):
    files, edits, quiet = CASES[name]
    printed, known = variant(files)
    for edit in edits:
        found, changed = variant(files, edit)
        assert found != printed, f"{edit} changes nothing, and tests nothing"
        assert changed != known, edit
    for edit in quiet:
        found, changed = variant(files, edit)
        assert found == printed, f"{edit} does change something"
        assert changed == known, edit
