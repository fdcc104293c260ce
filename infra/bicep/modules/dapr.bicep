// The app on Container Apps with a Dapr sidecar.
import { texts } from '../types.bicep'

param name string
param environmentId string
param registryServer string
param location string
param tags texts
param identityId string
@description('Empty leaves the app out.')
param image string
param cpu string
param memory string
param minReplicas int
param maxReplicas int
param stopGraceSeconds int
@description('Empty asks nobody to sign in.')
param apiClientId string
param settings texts

resource app 'Microsoft.App/containerApps@2026-01-01' = if (!empty(image)) {
  name: 'ca-${name}'
  location: location
  tags: tags
  kind: 'functionapp'
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
      activeRevisionsMode: 'Single'
      registries: [
        {
          server: registryServer
          identity: identityId
        }
      ]
      ingress: {
        external: true
        targetPort: 80
        transport: 'auto'
        allowInsecure: false
      }
      dapr: {
        enabled: true
        appId: name
        appPort: 80
        appProtocol: 'http'
        // While the app does not answer, the sidecar holds alarms back instead of using up their retries.
        appHealth: {
          enabled: true
          path: '/api/health/live'
          probeIntervalSeconds: 5
          probeTimeoutMilliseconds: 1000
          threshold: 3
        }
      }
    }
    template: {
      // The host ends within ten seconds of the last run's end, or of the end of the grace period.
      terminationGracePeriodSeconds: stopGraceSeconds + 20
      containers: [
        {
          name: 'app'
          image: image
          resources: {
            cpu: json(cpu)
            memory: memory
          }
          env: [
            for setting in items(settings): {
              name: setting.key
              value: setting.value
            }
          ]
          probes: [
            {
              type: 'Startup'
              httpGet: {
                path: '/api/health/live'
                port: 80
              }
              periodSeconds: 5
              failureThreshold: 30
            }
            {
              type: 'Liveness'
              httpGet: {
                path: '/api/health/live'
                port: 80
              }
              periodSeconds: 10
              failureThreshold: 6
            }
          ]
        }
      ]
      scale: {
        minReplicas: minReplicas
        maxReplicas: maxReplicas
      }
    }
  }
}

// The probes answer whoever asks; everything else that comes from outside needs a token of the app registration, and an app role by its route.
resource signIn 'Microsoft.App/containerApps/authConfigs@2026-01-01' = if (!empty(image) && !empty(apiClientId)) {
  parent: app
  name: 'current'
  properties: {
    platform: {
      enabled: true
    }
    globalValidation: {
      unauthenticatedClientAction: 'Return401'
      excludedPaths: ['/api/health/live', '/api/health/ready']
    }
    identityProviders: {
      azureActiveDirectory: {
        enabled: true
        registration: {
          clientId: apiClientId
          openIdIssuer: '${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'
        }
        validation: {
          allowedAudiences: [apiClientId, 'api://${apiClientId}']
        }
      }
    }
  }
}

output name string = 'ca-${name}'
output url string = empty(image) ? '' : 'https://${app!.properties.configuration.ingress.fqdn}'
