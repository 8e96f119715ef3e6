"""Chat templates that would use unlimited time or memory."""

from __future__ import annotations

HOSTILE = {
    # Loops.
    "nested ranges": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "filtered loop": "{% for a in range(99999) %}{% for b in range(99999) if b < 0 %}{% endfor %}"
    "{% endfor %}",
    "long range": "{% for a in range(10**9) %}x{% endfor %}",
    "list of long range": "{{ range(10**9) | list }}",
    "recursive loop": "{% for a in range(99) recursive %}{{ loop(range(99)) }}{% endfor %}",
    "text in a loop": "{% for a in range(99999) %}" + "x" * 10_000 + "{% endfor %}",
    "message in a loop": "{% for a in range(99999) %}{{ messages }}{% endfor %}",
    "large literal in a loop": "{% set ns = namespace(l=[]) %}{% for a in range(99999) %}"
    "{% set ns.l = [ns.l, [" + "0," * 1000 + "]] %}{% endfor %}",
    "macro that calls itself": "{% macro f(n) %}{{ f(n + 1) }}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}",
    "binary recursion": "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}"
    "{% endmacro %}{{ f(40) }}",
    "call blocks": "{% macro f(n) %}{{ caller() }}{{ caller() }}{% endmacro %}"
    + "{% call f() %}" * 30
    + "x" * 100
    + "{% endcall %}" * 30,
    "block that calls itself": "{% block b %}{{ self.b() }}{{ self.b() }}{% endblock %}",
    # Strings that grow.
    "doubling string": "{% set ns = namespace(s='x') %}{% for a in range(99) %}"
    "{% set ns.s = ns.s + ns.s %}{% endfor %}",
    "doubling by concatenation": "{% set ns = namespace(s='x') %}{% for a in range(99) %}"
    "{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
    "doubling by a block": "{% set ns = namespace(s='x') %}{% for a in range(99) %}"
    "{% set s %}{{ ns.s }}{{ ns.s }}{% endset %}{% set ns.s = s %}{% endfor %}",
    "doubling by join": "{% set ns = namespace(s='x') %}{% for a in range(99) %}"
    "{% set ns.s = [ns.s, ns.s] | join %}{% endfor %}",
    "doubling by replace": "{% set ns = namespace(s='xx') %}{% for a in range(99) %}"
    "{% set ns.s = ns.s | replace('x', ns.s) %}{% endfor %}",
    "doubling by method": "{% set ns = namespace(s='xx') %}{% for a in range(99) %}"
    "{% set ns.s = ns.s.replace('x', ns.s) %}{% endfor %}",
    "slices are copies": "{% set s = 'x' * 1000000 %}{% set ns = namespace(l=[]) %}"
    "{% for a in range(9999) %}{% set ns.l = [ns.l, s[1:]] %}{% endfor %}",
    "repeated string": "{{ 'x' * 10**9 }}",
    "repeated list": "{% set l = [0] * 10**9 %}",
    "repeated from the left": "{% set l = 10**9 * (0,) %}",
    # Widths.
    "percent width": "{{ '%1000000000d' % 1 }}",
    "percent width from an argument": "{{ '%*d' % (10**9, 1) }}",
    "percent precision": "{{ '%.1000000000f' % 1.5 }}",
    "percent width after a key": "{{ '%((a)b)1000000000d' % {'(a)b': 1} }}",
    "percent filter": "{{ '%1000000000s' | format('x') }}",
    "odd": "{{ '%1000000000d' is odd }}",
    "divisible": "{{ '%1000000000d' is divisibleby(3) }}",
    "format width": "{{ '{:1000000000}'.format('x') }}",
    "format width from an argument": "{{ '{:{}}'.format('x', 10**9) }}",
    "format map": "{{ '{a:>1000000000}'.format_map({'a': 1}) }}",
    "format of many fields": "{{ ('{0}' * 99999).format('x' * 99999) }}",
    "percent of many fields": "{{ ('%(a)s' * 99999) % {'a': 'x' * 99999} }}",
    "ljust": "{{ 'x'.ljust(10**9) }}",
    "zfill": "{{ 'x'.zfill(10**9) }}",
    "expandtabs": "{{ '\t'.expandtabs(10**9) }}",
    "expandtabs by name": "{{ '\t'.expandtabs(tabsize=10**9) }}",
    "center": "{{ 'x' | center(10**9) }}",
    "center by map": "{{ ['x'] | map('center', 10**9) | list }}",
    "indent": "{{ 'x\ny' | indent(10**9) }}",
    "indent by text": "{{ ('x\n' * 9999) | indent('y' * 99999) }}",
    "tojson": "{{ messages | tojson(indent=10**9) }}",
    "tojson separators": "{{ range(9999) | list | tojson(separators=('x' * 99999, 'y')) }}",
    "batch": "{{ [1] | batch(10**9, 0) | list }}",
    "slice": "{{ [1] | slice(10**9) | list }}",
    "wordwrap": "{{ ('x ' * 9999) | wordwrap(1, true, 'y' * 99999) }}",
    "lipsum": "{{ lipsum(10**9) }}",
    "strftime": "{{ strftime_now('%c' * 10**6) }}",
    # Numbers.
    "power": "{{ 10 ** (10 ** 8) }}",
    "power in a comparison": "{{ 10 ** (10 ** 8) > 1 }}",
    "power in round": "{{ 1 | round(10**9, 'floor') }}",
    "negative round": "{{ 5 | round(-10**9) }}",
    "squares": "{% set ns = namespace(n=3) %}{% for a in range(99) %}{% set ns.n = ns.n * ns.n %}"
    "{% endfor %}",
    "bytes of an integer": "{{ (1).to_bytes(10**9, 'big') }}",
    "colliding hashes": "{{ range(0, (2**61 - 1) * 99999, 2**61 - 1) | unique | list }}",
    "colliding keys": "{{ dict.fromkeys(range(0, (2**61 - 1) * 99999, 2**61 - 1)) }}",
    # Values that share their parts.
    "shown tree": "{% set ns = namespace(l=[1]) %}{% for a in range(99) %}"
    "{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l }}",
    "compared trees": "{% set ns = namespace(a=[1], b=[1]) %}{% for a in range(99) %}"
    "{% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, ns.b] %}{% endfor %}{{ ns.a == ns.b }}",
    "searched trees": "{% set ns = namespace(a=[1], b=[1]) %}{% for a in range(99) %}"
    "{% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, ns.b] %}{% endfor %}{{ ns.a in [ns.b] }}",
    "tree as a key": "{% set ns = namespace(t=(1,)) %}{% for a in range(99) %}"
    "{% set ns.t = (ns.t, ns.t) %}{% endfor %}{{ {ns.t: 1} }}",
    "tree as an item": "{% set ns = namespace(t=(1,)) %}{% for a in range(99) %}"
    "{% set ns.t = (ns.t, ns.t) %}{% endfor %}{{ {}[ns.t] }}",
    "tree that is got": "{% set ns = namespace(t=(1,)) %}{% for a in range(99) %}"
    "{% set ns.t = (ns.t, ns.t) %}{% endfor %}{{ {}.get(ns.t) }}",
    "tojson of a tree": "{% set ns = namespace(l=[1]) %}{% for a in range(99) %}"
    "{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l | tojson }}",
    "namespaces in a tree": "{% set ns = namespace(l=[1]) %}{% for a in range(99) %}"
    "{% set ns.l = namespace(l=[ns.l, ns.l]) %}{% endfor %}{{ ns.l }}",
    "sorted trees": "{% set ns = namespace(a=[1], b=[1]) %}{% for a in range(99) %}"
    "{% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, ns.b] %}{% endfor %}"
    "{{ [ns.a, ns.b] | sort }}",
    # Slow algorithms.
    "comments in tags": "{% for a in range(999) %}{{ ('<!---->' * 99999) | striptags }}{% endfor %}",
    "urlize": "{% for a in range(999) %}{{ ('(' * 99999) | urlize }}{% endfor %}",
    "search from behind": "{% set s = 'a' * 999999 %}{% for a in range(999) %}"
    "{{ s.rfind('b' + 'a' * 99999) }}{% endfor %}",
    "search": "{% set s = 'a' * 999999 %}{% for a in range(9999) %}"
    "{{ ('a' * 50 + 'b' + 'a' * 48) in s }}{% endfor %}",
    "strip by many characters": "{% for a in range(999) %}"
    "{{ ('a' * 999999).strip('b' * 99999 + 'a') }}{% endfor %}",
    "split": "{% set s = 'a ' * 2000000 %}{{ s.split() | length }}",
    "characters": "{% set s = '\U0001f600' * 1500000 %}{{ s | list | length }}",
    "unpacked string": "{% set s = '\U0001f600' * 1500000 %}{{ [].index(*s) }}",
    "sum of lists": "{% set ns = namespace(l=[]) %}{{ ([[0]] * 99999) | sum(start=[]) | length }}",
    "words": "{{ ('a ' * 3000000) | wordcount }}",
    "titles": "{{ ('a ' * 3000000) | title }}",
    "idna": "{{ ('a' * 99999).encode('idna') }}",
    "selection": "{% for a in range(99999) %}{{ range(99999) | select('none') | list }}{% endfor %}",
    "dotted attribute": "{{ range(99999) | map(attribute='a.' * 99999) | list }}",
    "dotted attribute of a sort": "{{ range(99999) | sort(false, false, 'a.' * 99999) }}",
    "many characters as keys": "{{ dict.fromkeys('\U0001f600' * 1500000) | length }}",
    "large pairs": "{{ dict([range(99999)] * 1000) }}",
    **{
        f"{name} that are kept": "{% set ns = namespace(l=[]) %}{% for a in range(99999) %}"
        + before
        + "{% set ns.l = [ns.l, "
        + value
        + "] %}{% endfor %}"
        for name, before, value in (
            ("integers", "", "3 ** 8000 + a"),
            ("macros", "{% macro f(b=1, c=2) %}{{ a }}{{ caller() }}{% endmacro %}", "f"),
            ("iterators", "", "range(9) | map('upper') | map('lower') | select('string')"),
            ("cyclers", "", "cycler(*range(99))"),
            ("namespaces", "", "namespace(a=1, b=2, c=3)"),
            ("characters", "", "('\U0001f600' * 99)[a % 99]"),
            ("slices", "", "'\U0001f600abcdefgh'[:a % 9]"),
            ("methods", "", "[].index"),
            ("undefined values", "", "a.b"),
            ("groups", "", "messages | groupby('role')"),
            ("loops", "", "loop"),
            ("blocks", "{% set x %}{{ a }}{% endset %}", "x"),
            ("views", "", "{'a': a}.items()"),
            ("safe texts", "", "'<' | e"),
            ("dictionaries", "", "dict(a=1, b=2)"),
        )
    },
    "colliding names": "{% set ns = namespace(range(0, 999999999, 9999) | batch(2)) %}"
    "{{ namespace([[2**61, 1]]) }}",
    # Sources.
    "long source": "{{ 1 }}" * 99_999,
    "long text": "x" * 10**7,
    "nested source": "{{ " + "(" * 9_999 + ")" * 9_999 + " }}",
    "nested statements": "{% if 1 %}" * 999 + "{% endif %}" * 999,
    "many alternatives": "{% if 0 %}" + "{% elif 0 %}x" * 9_000 + "{% endif %}",
    "long sum": "{{ 1" + "+1" * 29_000 + " }}",
    "long filter": "{{ 1" + "|int" * 14_000 + " }}",
    "long attribute": "{{ a" + ".a" * 14_000 + " }}",
    "many variables": "".join(f"{{% set a{i} = 1 %}}" for i in range(4000))
    + "{% for a in range(99999) %}{% block b scoped %}{% endblock %}{% endfor %}",
    "dense source": "{{a}}" * 9_999,
    "many blocks": "".join(f"{{% block b{i} %}}x{{% endblock %}}" for i in range(1_500)),
}
