"""Schemas that are not those of the records: classes of them must not read the records as if nothing were wrong."""


def field(schema, name):
    return next(each for each in schema["fields"] if each["name"] == name)


def other_type(schemas):
    field(schemas["Touch"], "scene")["type"] = ["null", "string"]


def other_order(schemas):
    fields = schemas["Order"]["fields"]
    mch, trade = fields.index(field(schemas["Order"], "mch_id")), fields.index(field(schemas["Order"], "trade_no"))
    fields[mch], fields[trade] = fields[trade], fields[mch]


def other_name(schemas):
    field(schemas["MaterialResult"], "tag")["name"] = "label"


def one_field_less(schemas):
    schemas["DeadLetter"]["fields"].remove(field(schemas["DeadLetter"], "offset"))


# Each in another schema, so that one build has all of them. Where it has to be found; elsewhere it must do no harm: by a registry
# fields are matched by their names, so that their order is no matter, and neither is it to a type of TypeScript.
PLANTED = [
    (other_type, "Touch", {"single", "confluent", "types"}),
    (other_order, "Order", {"single"}),
    (other_name, "MaterialResult", {"single", "confluent", "types"}),
    (one_field_less, "DeadLetter", {"single", "confluent", "types"}),
]
