// What changes the database, as jobs of the platform within the network: whoever may start them needs no way to the
// database, and the app no right to change a table.
import { texts } from '../types.bicep'

param name string
param location string
param tags texts
param environmentId string
param registryServer string
param identityId string
param clientId string
@description('The app\'s image, which has its command line. What stands here before there is one has no Python, so that a job fails.')
param image string
param databaseUrl string
@description('The app\'s identity, as NAME=OBJECT_ID.')
param runtime string

var commands = {
  migrate: 'python -m jobs db upgrade && python -m jobs db grant --runtime "$RUNTIME" --entra'
  apply: 'python -m jobs apply schedules.yaml --plan && python -m jobs apply schedules.yaml'
}

resource operation 'Microsoft.App/jobs@2026-01-01' = [
  for command in items(commands): {
    name: 'caj-${name}-${command.key}'
    location: location
    tags: tags
    identity: {
      type: 'UserAssigned'
      userAssignedIdentities: {
        '${identityId}': {}
      }
    }
    properties: {
      environmentId: environmentId
      workloadProfileName: 'Consumption'
      configuration: {
        triggerType: 'Manual'
        replicaTimeout: 1800
        replicaRetryLimit: 0
        manualTriggerConfig: {
          parallelism: 1
          replicaCompletionCount: 1
        }
        registries: [
          {
            server: registryServer
            identity: identityId
          }
        ]
      }
      template: {
        containers: [
          {
            name: 'jobs'
            image: image
            command: ['/bin/sh', '-c', command.value]
            env: [
              { name: 'AZURE_CLIENT_ID', value: clientId }
              { name: 'JOBS_DATABASE_AUTH', value: 'entra' }
              { name: 'JOBS_DATABASE_URL', value: databaseUrl }
              { name: 'RUNTIME', value: runtime }
            ]
            resources: {
              cpu: json('0.5')
              memory: '1Gi'
            }
          }
        ]
      }
    }
  }
]
