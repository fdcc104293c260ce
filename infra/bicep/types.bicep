// What several modules take.

@export()
@description('Tags, or app settings: texts by name.')
type texts = {
  *: string
}
