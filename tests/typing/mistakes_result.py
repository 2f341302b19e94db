"""Mistakes with results and errors: each marked line must fail, and no other."""

from __future__ import annotations

from clean_order import EmptyOrder, Lamp, Order, OrderError, OrderEvent, OrderPlaced, OrderShipped, TooExpensive
from typing_extensions import Never, TypeAlias, assert_never

from statewright import (
    ConcurrencyConflictError,
    DependencyError,
    DomainError,
    Failure,
    IdempotencyError,
    InvalidDataError,
    NotFoundError,
    RestoreError,
    RoutingError,
    StoreError,
    Success,
    UnexpectedError,
)

Answer: TypeAlias = Success[Order, OrderEvent] | Failure[OrderError]

# --- a result before it was asked ------------------------------------------------------------------------------------


def workflow_without_asking(result: Answer) -> None:
    print(result.workflow)  # E: mypy[union-attr] pyright[reportAttributeAccessIssue]


def events_without_asking(result: Answer) -> None:
    print(result.events)  # E: mypy[union-attr] pyright[reportAttributeAccessIssue]


def version_without_asking(result: Answer) -> None:
    print(result.version)  # E: mypy[union-attr] pyright[reportAttributeAccessIssue]


def error_without_asking(result: Answer) -> None:
    print(result.error)  # E: mypy[union-attr] pyright[reportAttributeAccessIssue]


def workflow_of_a_failure(result: Answer) -> None:
    if result.ok is False:
        print(result.workflow)  # E: mypy[attr-defined] pyright[reportAttributeAccessIssue]


def error_of_a_success(result: Answer) -> None:
    if result.ok is True:
        print(result.error)  # E: mypy[attr-defined] pyright[reportAttributeAccessIssue]


def asked_for_its_truth(result: Answer) -> None:
    if result:  # E: pyright[reportGeneralTypeIssues]
        print("done")


def asked_for_its_truth_by_not(result: Answer) -> None:
    if not result:  # E: pyright[reportGeneralTypeIssues]
        print("refused")


def ok_is_called(result: Answer) -> None:
    if result.ok():  # E: mypy[operator] pyright[reportCallIssue]
        print("done")


def ok_is_no_text(result: Answer) -> str:
    return result.ok  # E: mypy[return-value] pyright[reportReturnType]


# --- what is in it ---------------------------------------------------------------------------------------------------


def another_workflow(result: Answer) -> Lamp:
    return result.unwrap().workflow  # E: mypy[return-value] pyright[reportReturnType]


def unknown_method(result: Answer) -> None:
    result.unwrap().workflow.totals()  # E: mypy[attr-defined] pyright[reportAttributeAccessIssue]


def unwrapped_is_no_workflow(result: Answer) -> Order:
    return result.unwrap()  # E: mypy[return-value] pyright[reportReturnType]


def event_is_one_of_two(result: Answer) -> None:
    for event in result.unwrap().events:
        print(event.parcel)  # E: mypy[union-attr] pyright[reportAttributeAccessIssue]


def events_are_no_list(result: Answer) -> None:
    result.unwrap().events.append(OrderShipped(parcel="p"))  # E: mypy[attr-defined] pyright[reportAttributeAccessIssue]


def another_event(result: Answer) -> list[OrderPlaced]:
    return list(result.unwrap().events)  # E: mypy[arg-type] pyright[reportReturnType]


def result_is_changed(result: Success[Order]) -> None:
    result.version = 3  # E: mypy[misc] pyright[reportAttributeAccessIssue]


def forgets_an_event(event: OrderEvent) -> None:
    match event:
        case OrderPlaced():
            print("placed")
        case _:
            assert_never(event)  # E: mypy[arg-type] pyright[reportArgumentType]


def forgets_the_failure(result: Answer) -> int:
    match result:
        case Success(version=version):
            return version
        case _:
            assert_never(result)  # E: mypy[arg-type] pyright[reportArgumentType]


# --- errors ----------------------------------------------------------------------------------------------------------


def forgets_a_refusal(result: Failure[OrderError]) -> str:
    match result.error:
        case EmptyOrder():
            return "empty"
        case InvalidDataError() | RoutingError() | DependencyError() | NotFoundError() | ConcurrencyConflictError():
            return "ours"
        case RestoreError() | IdempotencyError() | StoreError() | UnexpectedError():
            return "ours, too"
        case _:
            assert_never(result.error)  # E: mypy[arg-type] pyright[reportArgumentType]


def forgets_one_of_ours(result: Failure[OrderError]) -> str:
    match result.error:
        case EmptyOrder() | TooExpensive():
            return "refused"
        case InvalidDataError() | RoutingError() | DependencyError() | NotFoundError() | StoreError():
            return "ours"
        case RestoreError() | IdempotencyError() | UnexpectedError():
            return "ours, too"
        case _:
            assert_never(result.error)  # E: mypy[arg-type] pyright[reportArgumentType]


def expects_no_refusal(result: Failure[EmptyOrder]) -> Failure[Never]:
    return result  # E: mypy[return-value] pyright[reportReturnType]


def field_before_asking_for_the_class(result: Failure[OrderError]) -> None:
    print(result.error.minimum)  # E: mypy[union-attr] pyright[reportAttributeAccessIssue]


def unknown_attribute(result: Failure[EmptyOrder]) -> None:
    if isinstance(result.error, EmptyOrder):
        print(result.error.maximum)  # E: mypy[attr-defined] pyright[reportAttributeAccessIssue]


def unknown_attribute_of_ours(error: ConcurrencyConflictError) -> None:
    print(error.found_version)  # E: mypy[attr-defined] pyright[reportAttributeAccessIssue]


def attribute_may_be_none(error: ConcurrencyConflictError) -> int:
    return error.actual_version + 1  # E: mypy[operator] pyright[reportOptionalOperand]


def field_has_another_type(error: EmptyOrder) -> str:
    return error.minimum  # E: mypy[return-value] pyright[reportReturnType]


def data_is_no_attribute(error: EmptyOrder) -> None:
    print(error.data.minimum)  # E: mypy[attr-defined] pyright[reportAttributeAccessIssue]


def category_is_no_number(error: DomainError) -> int:
    return error.category  # E: mypy[return-value] pyright[reportReturnType]


def source_is_misspelt(error: InvalidDataError) -> bool:
    return error.source == "commands"  # E: mypy[comparison-overlap] pyright[reportUnnecessaryComparison]


def code_is_misspelt(error: RoutingError) -> None:
    match error.code:
        case "NO_HANDLER" | "UNKNOWN_STATE":
            print("known")
        case _:
            assert_never(error.code)  # E: mypy[arg-type] pyright[reportArgumentType]


def failure_of_no_error() -> None:
    Failure("not today")  # E: mypy[arg-type] pyright[reportArgumentType]


def failure_of_a_class() -> None:
    Failure(EmptyOrder)  # E: mypy[arg-type] pyright[reportArgumentType]


def conflict_without_versions() -> None:
    ConcurrencyConflictError("o-1")  # E: mypy[call-arg] pyright[reportCallIssue]


def not_found_by_number() -> None:
    NotFoundError(7)  # E: mypy[arg-type] pyright[reportArgumentType]
