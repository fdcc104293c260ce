from pydantic import BaseModel, ConfigDict, Field

from jobs import handler


class CleanupDataArgs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    older_than_days: int = Field(default=30, ge=1)


@handler("CleanupData")
def cleanup_data(args: CleanupDataArgs) -> None:
    pass
