// A page of figures in the portal. It is in ../../workbook.json, for Terraform too.
import { texts } from '../types.bicep'

param name string
param location string
param tags texts
param workspaceId string

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(resourceGroup().id, 'workbook', name)
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: 'Jobs of ${name}'
    category: 'workbook'
    sourceId: workspaceId
    serializedData: replace(loadTextContent('../../workbook.json'), 'WORKSPACE_ID', workspaceId)
  }
}
