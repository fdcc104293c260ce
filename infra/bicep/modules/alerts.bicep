// What somebody is told of. The queries are in ../../alerts.json, for Terraform too.
import { texts } from '../types.bicep'

param name string
param location string
param tags texts
param email string
param workspaceId string
param databaseId string
param databaseMaxConnections int
param storageId string

var logAlerts = loadJsonContent('../../alerts.json')
var database = { id: databaseId, type: 'Microsoft.DBforPostgreSQL/flexibleServers' }
var storage = { id: storageId, type: 'Microsoft.Storage/storageAccounts' }
var metricAlerts = [
  {
    name: 'database-connections'
    of: database
    window: 'PT5M'
    dimensions: []
    description: 'The database has had more than four fifths of its connections in use.'
    metric: 'active_connections'
    aggregation: 'Maximum'
    threshold: databaseMaxConnections * 4 / 5
  }
  {
    name: 'database-cpu'
    of: database
    window: 'PT15M'
    dimensions: []
    description: 'The database has had its processors more than nine tenths in use for a quarter of an hour.'
    metric: 'cpu_percent'
    aggregation: 'Average'
    threshold: 90
  }
  {
    name: 'database-storage'
    of: database
    window: 'PT5M'
    dimensions: []
    description: 'The database\'s storage is more than 85 % full; a full one refuses to write.'
    metric: 'storage_percent'
    aggregation: 'Maximum'
    threshold: 85
  }
  {
    name: 'storage-failing'
    of: storage
    window: 'PT15M'
    description: 'The storage account has failed more than ten calls of the app within a quarter of an hour, or refused it for want of a role.'
    metric: 'Transactions'
    aggregation: 'Total'
    threshold: 10
    dimensions: [
      {
        name: 'ResponseType'
        operator: 'Include'
        values: ['AuthorizationError', 'ServerBusyError', 'ServerOtherError', 'ServerTimeoutError']
      }
    ]
  }
]

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: 'ag-${name}'
  location: 'global'
  tags: tags
  properties: {
    groupShortName: name
    enabled: true
    emailReceivers: [
      {
        name: 'email'
        emailAddress: email
        useCommonAlertSchema: true
      }
    ]
  }
}

resource logAlert 'Microsoft.Insights/scheduledQueryRules@2026-03-01' = [
  for alert in logAlerts: {
    name: '${name}-${alert.name}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: '${name}-${alert.name}'
      description: alert.description
      severity: alert.severity
      enabled: true
      scopes: [workspaceId]
      evaluationFrequency: alert.frequency
      windowSize: alert.window
      autoMitigate: true
      // The tables come into being with the app's first line.
      skipQueryValidation: true
      criteria: {
        allOf: [
          {
            query: alert.query
            metricMeasureColumn: alert.column
            timeAggregation: alert.aggregation
            operator: alert.operator
            threshold: alert.threshold
            failingPeriods: {
              numberOfEvaluationPeriods: 1
              minFailingPeriodsToAlert: 1
            }
          }
        ]
      }
      actions: {
        actionGroups: [people.id]
      }
    }
  }
]

resource metricAlert 'Microsoft.Insights/metricAlerts@2026-01-01' = [
  for alert in metricAlerts: {
    name: '${name}-${alert.name}'
    location: 'global'
    tags: tags
    properties: {
      description: alert.description
      severity: 2
      enabled: true
      scopes: [alert.of.id]
      evaluationFrequency: 'PT5M'
      windowSize: alert.window
      autoMitigate: true
      criteria: {
        'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
        allOf: [
          {
            name: alert.name
            criterionType: 'StaticThresholdCriterion'
            metricNamespace: alert.of.type
            metricName: alert.metric
            timeAggregation: alert.aggregation
            operator: 'GreaterThan'
            threshold: alert.threshold
            dimensions: alert.dimensions
          }
        ]
      }
      actions: [
        {
          actionGroupId: people.id
        }
      ]
    }
  }
]
