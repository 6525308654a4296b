"""All families of classes that the embedded tests test, by name."""

from __future__ import annotations

from components.workloads.assertions.generator_names import Family
from components.workloads.assertions.generator_objects import OBJECTS
from components.workloads.assertions.generator_statics import STATICS
from components.workloads.assertions.generator_values import VALUES

FAMILIES: dict[str, Family] = {**OBJECTS, **VALUES, **STATICS}
