"""As many simulated devices as the cases need, made before JAX starts."""

from bench.cases import Selection, expand
from toynet import mesh

mesh.simulate(max(case.devices for case in expand(Selection())))
