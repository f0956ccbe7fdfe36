import schemathesis


@schemathesis.hook
def filter_case(context, case):
    """Leaves out what API Gateway's stand-in answers with a 500 of its own: headers and bodies that are not text."""
    return all(str(value).isascii() for value in (case.headers or {}).values()) and is_text(case.body)


def is_text(body):
    try:
        return not isinstance(body, bytes) or body.decode() is not None
    except UnicodeDecodeError:
        return False
