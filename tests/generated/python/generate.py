"""Writes a module with a dataclass of each schema: python generate.py MODULE SCHEMA…"""

import json
import sys
from pathlib import Path

from dataclasses_avroschema import ModelGenerator

schemas = [json.loads(Path(path).read_text()) for path in sys.argv[2:]]
module = ModelGenerator().render_module(schemas=schemas, model_type="dataclass")
Path(sys.argv[1]).write_text(module)
